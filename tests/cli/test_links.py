"""`msys-track open-link`: what a link says, however it was copied out of a mail."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests import oracle
from tests.cli.mails import HTML
from tests.processes import Run

from msys_track.cli import main
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions

HEADER = (
    b'X-MSYS-API: {"campaign_id": "spring", "metadata": {"user": 7, "name": "J\xc3\xb6"}, '
    b'"tags": ["a", "b"], "options": {"transactional": true}}\r\n'
)
NOW = 1_700_000_000


def open_link(url: str, keys: Path) -> Result:
    return CliRunner().invoke(main, ["open-link", url, "--keys", str(keys)])


@pytest.fixture
def difference(keys: Path) -> oracle.Difference:
    """The links of a mail that were sealed by the key file."""
    options = TrackingOptions(
        open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
    )
    rewriter = Dispatcher(keys=KeyRing.load(keys), options=options)
    message = HEADER + HTML.replace(b"<a ", b"<a data-msys-linkname=top ", 1)
    return oracle.difference(message, rewriter.copy_for("Jo@e.com", message, now=NOW).message)


def test_a_click_s_claims_are_one_json_object(difference: oracle.Difference, keys: Path) -> None:
    result = open_link(difference.links[0][1], keys)
    assert result.exit_code == 0
    claims = json.loads(result.stdout_bytes)
    assert len(claims.pop("message_id")) == 20
    assert int(claims.pop("transmission_id")) >= 0
    assert claims == {
        "kind": "click",
        "target": "http://e.com/?a=1&b=2",
        "link_name": "top",
        "link_number": 1,
        "link_part": "html",
        "recipient": "Jo@e.com",
        "recipient_type": "to",
        "campaign_id": "spring",
        "metadata": {"user": 7, "name": "Jö"},
        "tags": ["a", "b"],
        "customer_id": 1,
        "subaccount_id": None,
        "injected_at": "2023-11-14T22:13:20Z",
        "expires_at": "2024-11-13T22:13:20Z",
        "flags": {
            "open_tracking": True,
            "click_tracking": True,
            "initial_pixel": False,
            "amp_enabled": False,
            "transactional": True,
        },
    }


def test_an_open_has_no_target(difference: oracle.Difference, keys: Path) -> None:
    claims = json.loads(open_link(difference.pixels[0], keys).stdout_bytes)
    assert (claims["kind"], claims["target"], claims["link_name"]) == ("open", None, None)


def test_a_link_is_opened_however_it_was_copied(difference: oracle.Difference, keys: Path) -> None:
    url = difference.links[0][1]
    bare = url.removeprefix("http://")
    path = bare.removeprefix("click.example.com")
    for copied in (
        url,
        f"  {url}\n",
        url.replace("http://", "HTTPS://other.example/").replace("other.example/click", "click"),
        f"{url}?utm_source=x#y",
        f"{url}%20",
        f"{url}>",
        bare,
        path,
        path.removeprefix("/"),
        path.replace("/f/a/", "/%66/a/"),
    ):
        result = open_link(copied, keys)
        assert result.exit_code == 0, copied
        assert json.loads(result.stdout_bytes)["target"] == "http://e.com/?a=1&b=2"


@pytest.mark.parametrize(
    "url", ["", "x", "/", "http://e.com/", "/f/a/", "/f/a/AAAA", "f/a/é", "/f/a/%zz", "é" * 9_999]
)
def test_what_is_no_link_of_ours_is_told_in_one_line(url: str, keys: Path) -> None:
    result = open_link(url, keys)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("msys-track: ")
    assert result.stderr.count("\n") == 1


def test_a_changed_link_and_another_key_open_nothing(
    difference: oracle.Difference, keys: Path, tmp_path: Path, run: Run
) -> None:
    url = difference.links[0][1]
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    other = tmp_path / "other.toml"
    run("keys", "new", other)
    for link, file in [(changed, keys), (url.replace("/f/a/", "/q/"), keys), (url, other)]:
        result = open_link(link, file)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "token" in result.stderr


def test_a_key_file_that_is_not_there_exits_2(tmp_path: Path) -> None:
    result = open_link("/f/a/AAAA", tmp_path / "no.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no such key file" in result.stderr


def test_json_is_utf_8_whatever_the_terminal_is(
    difference: oracle.Difference, keys: Path, run: Run
) -> None:
    for encoding in ("ascii", "latin-1", "utf-8"):
        ended = run(
            "open-link", difference.links[0][1], "--keys", keys, env={"PYTHONIOENCODING": encoding}
        )
        assert json.loads(ended.output.decode("utf-8"))["metadata"]["name"] == "Jö"
