"""A document that goes by in chunks: the same bytes as the message's, and nothing lost."""

import asyncio
import base64
import copy
import email
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track import HtmlRewriter
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.native import NativeEngine
from msys_track.rewriting.rules import Rules

KEYS = KeyRing.temporary()
URLS = TrackedUrls(
    domain="t.example", click_scheme="https", open_scheme="https", click_metadata=True
)
PAGE = (
    b"<html><body class=x>\n<p><a href='http://e.example/?a=1&amp;b=2'>x</a>\n"
    b"<!--[if mso]><a href=http://e.example/mso>y</a><![endif]-->\n"
    b"<a href=mailto:a@b.example>z</a></body></html>\n"
)


def engagement(*, opens: bool = True, clicks: bool = True, initial: bool = True) -> Engagement:
    return Engagement(
        message_id="00066d2bb36a0f10a4d3",
        recipient="jo@example.org",
        injected_at=1_795_510_800,
        expires_at=1_795_510_860,
        customer_id=1,
        open_tracking=opens,
        click_tracking=clicks,
        initial_pixel=initial,
    )


def make(charset: str | None = None, rules: Rules | None = None) -> HtmlRewriter:
    return HtmlRewriter(
        keys=KEYS, engagement=engagement(), urls=URLS, rules=rules or Rules(), charset=charset
    )


def stream(html: bytes, size: int, rewriter: HtmlRewriter) -> bytes:
    chunks = (html[at : at + size] for at in range(0, len(html), size))
    return b"".join(map(rewriter.write, chunks)) + rewriter.end()


def in_a_message(html: bytes) -> bytes:
    """What the engine makes of it as the one part of a message without a line length."""
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    plan = NativeEngine().plan(head + base64.encodebytes(html), Rules())
    copy = plan.render(KEYS, engagement(), URLS).message
    payload = email.message_from_bytes(copy).get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_page_in_chunks_is_the_page_of_a_message(size: int) -> None:
    rewriter = make()
    assert stream(PAGE, size, rewriter) == in_a_message(PAGE)
    assert (rewriter.wrapped_links, rewriter.pixels) == (2, 2)
    assert rewriter.reasons == {"not_http": 1}
    (left,) = rewriter.left_alone
    assert PAGE[left.offset :][: left.length] == b"mailto:a@b.example"
    assert (left.reason, left.target) == ("not_http", "mailto:a@b.example")


def test_links_open_to_where_they_led() -> None:
    out = stream(PAGE, 10, make())
    paths = [
        part.split(b"'")[0].split(b'"')[0].split(b">")[0]
        for part in out.split(b"https://t.example")
    ]
    targets = [KEYS.open(path.decode()).target for path in paths[1:]]
    assert targets == [None, "http://e.example/?a=1&b=2", "http://e.example/mso", None]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_bytes_is_taken(kind: Callable[[bytes], bytes]) -> None:
    rewriter = make()
    assert rewriter.write(kind(PAGE)) + rewriter.end() == in_a_message(PAGE)


def test_text_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match="encode it"):
        make().write("<p>")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        make().write(7)  # type: ignore[arg-type]


def test_after_the_end_there_is_nothing_to_write() -> None:
    rewriter = make()
    rewriter.end()
    for use in (rewriter.end, lambda: rewriter.write(b"x")):
        with pytest.raises(ValueError, match="make another HtmlRewriter"):
            use()
    assert rewriter.pixels == 1


def test_an_async_iterator_of_chunks_becomes_one() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(PAGE), 11):
            await asyncio.sleep(0)
            yield PAGE[at : at + 11]

    async def collect() -> Sequence[bytes]:
        return [piece async for piece in make().rewrite(chunks())]

    pieces = asyncio.run(collect())
    assert b"".join(pieces) == in_a_message(PAGE)
    assert len(pieces) > 2
    assert all(pieces)


@pytest.mark.parametrize(("charset", "reason"), [("x-klingon", "unknown_charset")])
def test_a_charset_that_cannot_be_tracked_lets_the_document_pass(
    charset: str, reason: str
) -> None:
    rewriter = make(charset)
    assert stream(PAGE, 10, rewriter) == PAGE
    assert rewriter.reasons == {reason: 1}


def test_a_charset_reads_targets() -> None:
    out = stream("<a href='http://e.example/é'>x</a>".encode("latin-1"), 3, make("iso-8859-1"))
    path = out.split(b"https://t.example")[1].split(b"'")[0]
    assert KEYS.open(path.decode()).target in {"http://e.example/é", "http://e.example/%C3%A9"}


def test_rules_are_obeyed() -> None:
    rewriter = make(rules=Rules(never_wrap=("http://e.example/?*",), outlook_links=False))
    stream(PAGE, 10, rewriter)
    assert rewriter.wrapped_links == 0
    assert rewriter.reasons == {"never_wrap": 1, "outlook_links_off": 1, "not_http": 1}


def test_it_refuses_to_be_pickled_or_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="in the middle of a document"):
            attempt(make())


def test_two_threads_at_once_are_refused_or_come_one_after_the_other() -> None:
    rewriter = make()
    chunk = b"<a href=http://e.example/>x</a>" * 20_000
    refused = []
    ready = threading.Barrier(2)

    def write() -> None:
        ready.wait()
        try:
            rewriter.write(chunk)
        except RuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rewriter.end()
    written = 2 - len(refused)
    assert rewriter.wrapped_links == written * 20_000
    assert all("another thread" in text for text in refused)


def pieces() -> Iterator[str]:
    yield from (
        "<a href=http://e.example/>",
        "</a>",
        "<body>",
        "</body>",
        "\n",
        "x",
        "<!--",
        "-->",
    )
    yield from ("<div style='display:none'>", "</div>", "<script>", "</script>", "<", ">", "'")
    yield from ("<table>", "<td>", "</table>", "<svg>", "</svg>", "<!--[if mso]>", "<![endif]-->")


@given(st.lists(st.sampled_from(list(pieces())), max_size=30), st.integers(1, 40))
def test_any_document_in_any_chunks_is_what_the_message_has(parts: list[str], size: int) -> None:
    html = "".join(parts).encode()
    assert stream(html, size, make()) == in_a_message(html)


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "streaming.md"
    example = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.setattr(KeyRing, "load", lambda _: KEYS)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_bytes(PAGE)
    exec(compile(example, str(page), "exec"), {})  # noqa: S102 - the page's own example
    assert (tmp_path / "tracked.html").read_bytes().count(b"https://click.example.com/") == 3
    assert capsys.readouterr().out == "2 1 {'not_http': 1}\n"
