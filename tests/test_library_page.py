"""docs/library.md is run: each of its examples, after the one that all begin with."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.upstreams import ScriptedUpstream

import msys_track
from msys_track import Claims, Copy, Event, KeyRing, open_link
from msys_track.keys.file import create

PAGE = (Path(__file__).parents[1] / "docs/library.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^## (.*?)$|^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TRACKED = re.compile(rb"https://click\.example\.com/[^\"'<> \r\n]+")
MESSAGE = (
    b"From: news@example.com\r\nTo: jo@example.com\r\nSubject: News\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b'<body><a href="https://shop.example.com/?a=1&amp;b=2">Shop</a>\r\n'
    b'<a href="https://bank.example.com/" data-msys-linkname="bank">Bank</a></body>\r\n'
)
SHOP, BANK = "https://shop.example.com/?a=1&b=2", "https://bank.example.com/"

Names = dict[str, Any]


def read_examples() -> tuple[str, list[tuple[str, str]]]:
    """What all examples begin with; and each example below its heading."""
    heading, found = "", []
    for title, code in BLOCK.findall(PAGE):
        if title:
            heading = title
        else:
            found.append((heading, code))
    (_, beginning), *examples = found
    return beginning, examples


BEGINNING, EXAMPLES = read_examples()


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """What the beginning defines, in the folder of a program."""
    monkeypatch.chdir(tmp_path)
    create("keys.toml")
    Path("newsletter.eml").write_bytes(MESSAGE)
    Path("page.html").write_bytes(MESSAGE.partition(b"\r\n\r\n")[2])
    names: Names = {"__name__": "example"}
    run(BEGINNING, names)
    return names


def run(code: str, names: Names) -> None:
    exec(compile(code, "docs/library.md", "exec"), names)  # noqa: S102 - our own page


def claims_in(tracked: bytes | str, keys: KeyRing) -> list[Claims]:
    found = tracked.encode() if isinstance(tracked, str) else tracked
    return [open_link(url, keys) for url in TRACKED.findall(found)]


def targets_in(tracked: bytes | str, keys: KeyRing) -> list[str | None]:
    return [each.target for each in claims_in(tracked, keys)]


async def one_recipient(names: Names) -> None:
    claims = claims_in(names["tracked"], names["keys"])
    assert [each.target for each in claims] == [SHOP, BANK, None]
    engagement = claims[0].engagement
    assert (engagement.campaign_id, engagement.metadata) == ("spring", '{"user":7}')
    assert (engagement.tags, engagement.subaccount_id) == (("autumn", "sale"), 3)


async def many_recipients(names: Names) -> None:
    copy: Copy = names["copy"]
    assert (copy.recipients, copy.wrapped_links, copy.pixels) == (("al@example.com",), 2, 1)


async def opened_once(names: Names) -> None:
    for user, copy in enumerate(names["copies"]):
        metadata = {each.engagement.metadata for each in claims_in(copy.message, names["keys"])}
        assert metadata == {f'{{"user":{user}}}'}


async def bare_html(names: Names) -> None:
    assert targets_in(names["html"], names["keys"]) == ["https://shop.example.com/", None]
    assert targets_in(names["text"], names["keys"]) == ["https://shop.example.com/"]


async def in_chunks(names: Names) -> None:
    tracked = Path("tracked.html").read_bytes()  # noqa: ASYNC240 - a few bytes
    assert targets_in(tracked, names["keys"]) == [SHOP, BANK, None]


async def hook(names: Names) -> None:
    click, _ = claims_in(names["tracked"], names["keys"])
    assert (click.target, click.link_name) == (f"{SHOP}?utm_source=mail", "unnamed")
    assert BANK.encode() in names["tracked"]


async def claims_and_event(names: Names) -> None:
    event: Event = names["event"]
    assert (event.target_link_url, event.rcpt_to) == (
        "https://shop.example.com/", "jo@example.com",
    )  # fmt: skip
    assert event.ip_address == "192.0.2.7"


async def engine(names: Names) -> None:
    assert targets_in(names["tracked"], names["keys"]) == [SHOP, BANK, None]


async def threads(names: Names) -> None:
    for address, copy in zip(names["addresses"], names["copies"], strict=True):
        found = {each.engagement.recipient for each in claims_in(copy.message, names["keys"])}
        assert found == {address}


async def with_asyncio(names: Names) -> None:
    recipients = [
        claims_in(each, names["keys"])[0].engagement.recipient for each in names["tracked"]
    ]
    assert recipients == ["jo@example.com", "al@example.com"]


async def django(names: Names) -> None:
    from django.conf import settings  # noqa: PLC0415 - where it is installed
    from django.core.mail import EmailMultiAlternatives  # noqa: PLC0415

    async with ScriptedUpstream() as upstream:
        if not settings.configured:  # another test of this process may have done it
            settings.configure()
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", upstream.port
        mail = EmailMultiAlternatives(
            "Grüße", "Shop", "Shop <shop@example.com>", ["Jo <jo@example.com>"],
            bcc=["al@example.com"],
        )  # fmt: skip
        mail.attach_alternative(f'<p>Grüße <a href="{BANK}">Bank</a>', "text/html")
        backend = names["TrackedBackend"]()
        assert await asyncio.to_thread(backend.send_messages, [mail]) == 1
        recipients = [each.recipients for each in upstream.taken]
        assert recipients == [("jo@example.com",), ("al@example.com",)]
        for taken in upstream.taken:
            assert b"https://click.example.com/" in taken.message


async def flask(names: Names) -> None:
    client = names["app"].test_client()
    message = msys_track.rewrite(
        MESSAGE, recipient="jo@example.com", keys=names["keys"], options=names["options"]
    )
    click, _, pixel = (url.decode() for url in TRACKED.findall(message))
    answer = client.get(f"{click}?utm_source=x", headers={"User-Agent": "Reader/1"})
    assert (answer.status_code, answer.location) == (302, SHOP)
    assert client.get(pixel).data[:6] == b"GIF89a"
    assert client.get(f"{click}A").status_code == 404
    assert client.head(click).status_code == 302
    assert [each.type for each in names["events"]] == ["click", "open"]
    assert names["events"][0].user_agent == "Reader/1"


async def asgi(names: Names) -> None:
    message = msys_track.rewrite(
        MESSAGE, recipient="jo@example.com", keys=names["keys"], options=names["options"]
    )
    url = TRACKED.findall(message)[0]
    path = url.removeprefix(b"https://click.example.com")
    sent: list[Mapping[str, Any]] = []

    async def send(answer: Mapping[str, Any]) -> None:
        sent.append(answer)

    scope = {"type": "http", "method": "GET", "path": path.decode(), "headers": []}
    await names["app"](scope, None, send)
    assert (b"location", SHOP.encode()) in sent[0]["headers"]


CHECKS: Mapping[str, tuple[Callable[[Names], Awaitable[None]], ...]] = {
    "One mail, one recipient": (one_recipient,),
    "One mail, many recipients": (many_recipients, opened_once),
    "HTML without a mail": (bare_html,),
    "HTML in chunks": (in_chunks,),
    "A say about each link": (hook,),
    "What a link says": (claims_and_event,),
    "The engine": (engine,),
    "Threads, forks, pickles": (threads,),
    "With asyncio": (with_asyncio,),
    "An e-mail back end for Django": (django,),
    "A tracker in Flask": (flask,),
    "A tracker in your own web server": (asgi,),
}
RUNS = [
    (code, check)
    for place, (heading, code) in enumerate(EXAMPLES)
    for check in [CHECKS[heading][[each for each, _ in EXAMPLES[:place]].count(heading)]]
]


def test_each_check_has_its_example() -> None:
    assert [check for _, check in RUNS] == [each for checks in CHECKS.values() for each in checks]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("code", "check"), RUNS, ids=[check.__name__ for _, check in RUNS])
async def test_an_example_does_what_the_page_says(
    code: str, check: Callable[[Names], Awaitable[None]], names: Names
) -> None:
    compile(code, "docs/library.md", "exec")
    for framework in ("django", "flask"):
        if f"from {framework}" in code and find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed: it is in the group dev")
    # `asyncio.run` needs a thread without a loop.
    await asyncio.to_thread(run, code, names)
    await check(names)


def test_every_name_that_the_page_imports_is_public() -> None:
    found = re.findall(r"^from msys_track import (.*)$", PAGE, re.MULTILINE)
    imported = {name for line in found for name in line.split(", ")}
    assert imported <= set(msys_track.__all__)
