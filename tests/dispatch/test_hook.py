"""on_link: a program's own decision about each link."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from tests.captured_logs import capture_logs

from msys_track.dispatch.hook import LinkChange, OnLink
from msys_track.dispatch.library import Rewriter, rewrite_all
from msys_track.keys.link import open_link
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Link

KEYS = KeyRing.temporary()
ON = TrackingOptions(click_tracking=True, tracking_domain="click.example.com")
MESSAGE = (
    b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
    b'<a href="http://a.example/" data-msys-linkname="A">a</a>\r\n'
    b'<a href="http://b.example/">b</a>\r\n'
    b'<a href="http://c.example/">c</a>\r\n'
)


def targets_and_names(on_link: Any, engine: str = "native") -> list[tuple[str | None, str | None]]:
    """What the tracked links of MESSAGE say."""
    [copy] = rewrite_all(
        MESSAGE, ["jo@example.com"], keys=KEYS, options=ON, on_link=on_link, engine=engine
    )
    claims = [open_link(url, KEYS) for _, _, url in copy.edits]
    return [(each.target, each.link_name) for each in claims]


def only_b(answer: Any) -> OnLink:
    def on_link(link: Link) -> Any:
        return answer if link.target == "http://b.example/" else None

    return on_link


A, B, C = ("http://a.example/", "A"), ("http://b.example/", None), ("http://c.example/", None)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("answer", "links"),
    [
        (None, [A, B, C]),
        (LinkChange(), [A, B, C]),
        (False, [A, C]),
        (LinkChange(name="Shop"), [A, ("http://b.example/", "Shop"), C]),
        (LinkChange(target="https://d.example/?q=ü"), [A, ("https://d.example/?q=ü", None), C]),
        (LinkChange("http://d.example/", "D"), [A, ("http://d.example/", "D"), C]),
        (LinkChange(name="ü" * 40), [A, ("http://b.example/", "ü" * 31), C]),
    ],
    ids=["none", "no change", "veto", "name", "target", "both", "long name"],
)
def test_a_link_becomes_what_the_hook_says(
    answer: LinkChange | Literal[False] | None, links: list[tuple[str, str | None]], engine: str
) -> None:
    assert targets_and_names(only_b(answer), engine) == links


def fail(_: Link) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("on_link", "cause"),
    [
        (fail, ZeroDivisionError),
        (only_b(LinkChange(target="ftp://d.example/")), ValueError),
        (only_b(LinkChange(target="http://")), ValueError),
        (only_b(answer=True), TypeError),
        (only_b(("http://d.example/", None)), TypeError),
        (only_b("http://d.example/"), TypeError),
    ],
    ids=["raises", "ftp", "no host", "true", "tuple", "text"],
)
def test_a_hook_that_fails_leaves_its_link_alone_and_the_mail_goes_on(
    on_link: Callable[[Link], Any], cause: type[Exception]
) -> None:
    with capture_logs() as logs:
        links = targets_and_names(on_link)
    assert links == ([] if on_link is fail else [A, C])
    assert {entry["event"] for entry in logs} == {"link.hook_failed"}
    assert {entry["exc_info"][0] for entry in logs} == {cause}
    assert "http://b.example/" in {entry["target"] for entry in logs}


def test_a_bad_answer_does_not_undo_the_good_ones() -> None:
    def on_link(link: Link) -> LinkChange | Literal[False]:
        if "a" in link.target.partition("//")[2][:1]:
            return False
        return LinkChange(target="mailto:x" if link.target == B[0] else None, name="named")

    with capture_logs():
        assert targets_and_names(on_link) == [("http://c.example/", "named")]


def test_a_vetoed_link_has_its_reason() -> None:
    [copy] = rewrite_all(
        MESSAGE, ["jo@example.com"], keys=KEYS, options=ON, on_link=only_b(answer=False)
    )
    [(offset, length, reason)] = copy.left_alone
    assert MESSAGE[offset : offset + length] == b"http://b.example/"
    assert reason is Reason.VETOED


def test_the_hook_is_called_once_for_each_link_however_many_recipients_there_are() -> None:
    seen: list[str] = []

    def on_link(link: Link) -> None:
        seen.append(link.target)

    rewriter = Rewriter(keys=KEYS, options=ON, on_link=on_link)
    opened = rewriter.open(MESSAGE)
    for number in range(3):
        rewriter.copy_for(f"{number}@example.com", opened)
    assert seen == [A[0], B[0], C[0]]
    rewriter.copies(MESSAGE, [f"{number}@example.com" for number in range(3)])
    assert seen == [A[0], B[0], C[0]] * 2
