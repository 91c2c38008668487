"""What a reader is shown of a message is tracked, and nothing else."""

import pytest
from tests.rewriting.plans import KEYS, plan, render

from msys_track.rewriting.engine import Plan

HEAD = "From: shop@shop.example\r\nTo: jo@reader.example\r\nSubject: t\r\nMIME-Version: 1.0\r\n"
PLAIN = "Content-Type: text/plain; charset=utf-8\r\n\r\nsee the HTML"


def html(path: str, *fields: str, body: str | None = None) -> str:
    markup = f'<html><body><a href="https://a.example/{path}">x</a></body></html>'
    lines = (
        "Content-Type: text/html; charset=utf-8",
        *fields,
        "",
        markup if body is None else body,
    )
    return "\r\n".join(lines)


def multipart(kind: str, *parts: str, boundary: str = "B1", more: str = "") -> str:
    joined = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\r\n\r\n'
    return f"{head}{joined}--{boundary}--\r\n"


def read(message: str) -> Plan:
    return plan((HEAD + message).encode())


def targets(planned: Plan) -> list[str]:
    return [link.target.removeprefix("https://a.example/") for link in planned.links]


def reasons(planned: Plan) -> list[str]:
    return [each.reason for each in planned.left_alone]


def test_alternative_empty_first_html() -> None:
    planned = read(multipart("alternative", PLAIN, html("", body="\r\n"), html("real")))
    assert targets(planned) == ["real"]
    assert reasons(planned) == []
    rendered = render(planned)
    shown = rendered.message[rendered.message.rindex(b"--B1\r\nContent") :]
    assert (rendered.wrapped_links, shown.count(b"/f/a/"), shown.count(b"<img ")) == (1, 1, 1)


def test_disposition_star() -> None:
    file = html("file", 'Content-Disposition: *; filename="report.html"')
    message = multipart("mixed", PLAIN, file)
    planned = read(message)
    assert (targets(planned), reasons(planned)) == ([], ["attached_part"])
    assert render(planned).message == (HEAD + message).encode()


def test_named_html_file_before_body() -> None:
    file = html("file", 'Content-Disposition: inline; filename="report.html"')
    message = multipart("mixed", file, html("body"))
    planned = read(message)
    assert (targets(planned), reasons(planned)) == (["body"], ["named_file"])
    rendered = render(planned)
    assert file.encode() in rendered.message
    assert (rendered.wrapped_links, rendered.pixels) == (1, 1)


def test_two_cte_7bit_base64() -> None:
    message = (
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "PGh0bWw+PGJvZHk+PGEgaHJlZj0iaHR0cHM6Ly9hLmV4YW1wbGUvMSI+eDwvYT48L2JvZHk+PC9odG1sPg==\r\n"
    )
    planned = read(message)
    assert reasons(planned) == ["ambiguous_header"]
    assert render(planned).message == (HEAD + message).encode()


@pytest.mark.parametrize(
    "first",
    [
        b">From shop@shop.example Mon Jan  1 00:00:00 2024\n",
        b"From shop@shop.example Mon Jan  1 00:00:00 2024\r\n",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbfFrom shop@shop.example Mon Jan  1 00:00:00 2024\n",
    ],
)
def test_from_line(first: bytes) -> None:
    message = HEAD.encode() + html("1").encode()
    planned = plan(first + message)
    assert targets(planned) == ["1"]
    assert reasons(planned) == []
    rendered = render(planned)
    assert rendered.message.startswith(first + HEAD.encode())
    assert (rendered.wrapped_links, rendered.pixels) == (1, 1)


def test_header_fields_behind_an_mbox_line_are_found() -> None:
    first = b"From jo@reader.example Mon Jan  1 00:00:00 2024\r\n"
    planned = plan(first + b"X-MSYS-API: {}\r\nContent-Type: text/html\r\n\r\n<p>")
    assert render(planned).message.startswith(first + b"Content-Type")


def test_of_apple_s_pieces_the_first_alone_has_the_pixel() -> None:
    pdf = "Content-Type: application/pdf\r\nContent-Disposition: inline\r\n\r\n%PDF"
    pieces = multipart("mixed", html("1"), pdf, html("2"), boundary="B2")
    planned = read(multipart("alternative", PLAIN, pieces))
    assert targets(planned) == ["1", "2"]
    assert (len(planned.pixel_offsets), len(planned.initial_pixel_offsets)) == (1, 1)
    rendered = render(planned, initial_pixel=True)
    first, last = rendered.message.split(b"%PDF")
    assert (first.count(b"<img "), last.count(b"<img ")) == (2, 0)
    assert (rendered.pixels, list(rendered.left_alone)) == (2, [])


def test_links_and_reasons_of_many_parts_are_in_the_order_of_the_message() -> None:
    text = "Content-Type: text/plain\r\n\r\nhttps://a.example/t1 https://a.example/out"
    opted_out = html(
        "", body='<a href="https://a.example/out" data-msys-clicktrack="0"><a href="mailto:x">'
    )
    planned = read(multipart("mixed", text, html("h1"), text.replace("t1", "t2"), opted_out))
    assert targets(planned) == ["t1", "h1", "t2"]
    assert reasons(planned) == ["opted_out", "opted_out", "opted_out", "not_http"]
    for found in (planned.links, planned.left_alone):
        assert [each.offset for each in found] == sorted(each.offset for each in found)


def test_the_start_of_related_parts_is_the_body() -> None:
    frame, root = html("frame", "Content-ID: <f@x>"), html("root", "Content-ID: <r@x>")
    planned = read(multipart("related", frame, root, more='; start="<r@x>"'))
    assert (targets(planned), reasons(planned)) == (["root"], ["not_top_part"])
    planned = read(multipart("related", root, frame))
    assert (targets(planned), reasons(planned)) == (["root"], ["not_top_part"])


def test_a_missing_pixel_is_said_only_where_opens_are_tracked() -> None:
    planned = read(multipart("mixed", html("1", body="<p><!--"), html("2")))
    assert reasons(planned) == []
    lost = [(each.reason, each.offset) for each in render(planned).left_alone]
    place = len(HEAD) + multipart("mixed", html("1", body="<p><!--"), html("2")).index("<p>")
    assert lost == [("no_pixel_place", place)]
    both = [each.reason for each in render(planned, initial_pixel=True).left_alone]
    assert sorted(both) == ["no_initial_pixel_place", "no_pixel_place"]
    assert list(render(planned, open_tracking=False, initial_pixel=True).left_alone) == []

    planned = read(PLAIN)
    assert reasons(planned) == []
    assert [each.reason for each in render(planned).left_alone] == ["no_html_part"]
    assert list(render(planned, open_tracking=False).left_alone) == []


def test_every_pixel_opens() -> None:
    rendered = render(read(multipart("alternative", html("1"), html("2"))), initial_pixel=True)
    urls = [url.split(b'"')[0].decode() for url in rendered.message.split(b"example.com/q/")[1:]]
    kinds = [KEYS.open(f"/q/{url}").kind for url in urls]
    assert kinds == ["initial_open", "open", "initial_open", "open"]
