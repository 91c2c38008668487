"""`Location`: the target byte for byte, and never more than one header line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.tracking.location import location

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
BLANKS = "".join(map(chr, range(0x21)))
SCHEMES = st.sampled_from(["http://", "https://", "HTTP://", "HttpS://"])
# Blanks alone are dropped, and nothing is left to redirect to.
RESTS = st.text(st.characters(), min_size=1).filter(lambda rest: rest.strip(BLANKS) != "")


@given(scheme=SCHEMES, rest=st.text(PRINTABLE, min_size=1))
def test_a_printable_ascii_target_goes_out_as_it_is(scheme: str, rest: str) -> None:
    assert location(scheme + rest) == scheme + rest


@given(scheme=SCHEMES, rest=RESTS)
def test_the_header_is_printable_ascii_after_the_targets_own_scheme(
    scheme: str, rest: str
) -> None:
    value = location(scheme + rest)
    assert value is not None
    assert value.startswith(scheme)
    assert re.fullmatch(r"[!-~]+", value)


HOSTS = st.text(st.characters(exclude_characters="/?#\\\t\n\r"), min_size=1)


@given(host=HOSTS)
def test_a_host_ends_where_it_ended_in_the_target(host: str) -> None:
    value = location(f"http://{host}/path")
    assert value is not None
    assert re.fullmatch(r"http://[^/?#\\]+/path", value)


@given(host=HOSTS.filter(lambda host: "@" not in host))
def test_no_host_turns_into_user_information(host: str) -> None:
    value = location(f"http://{host}/")
    assert value is not None
    assert "@" not in value


@given(target=st.text(st.characters()))
def test_nothing_but_http_and_https_is_redirected_to(target: str) -> None:
    value = location(target)
    assert value is None or re.match(r"(?ai:https?)://.", target, re.DOTALL)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "http://",
        "http://\t",
        "http:// ",
        "http\u017f://shop.test/",
        "https:",
        "https:/shop.test/",
        "//shop.test/",
        "/path",
        "javascript:alert(1)",
        "data:text/html,hi",
        "ftp://shop.test/",
        "mailto:a@shop.test",
        " https://shop.test/",
        "\thttps://shop.test/",
        "xhttps://shop.test/",
    ],
)
def test_other_targets_are_refused(target: str) -> None:
    assert location(target) is None


@pytest.mark.parametrize(
    "target",
    [
        "https://shop.test/a?b=&c&d=1&",
        "https://shop.test/?q=a%20b%2Fc+d",
        "https://shop.test/#/route?x=1#y",
        "https://shop.test/f[0]=a:2|{b}^`\"<>\\'",
        "https://user:pass@shop.test:8443/;a=b,c!$*()",
        "https://SHOP.Test/A/../b",
        "https://shop.test//double//slash",
        "https://[2001:db8::1]:8080/",
        "https://shop.test/{{token}}/%%x%%/*|X|*",
    ],
)
def test_nothing_is_normalised(target: str) -> None:
    assert location(target) == target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://shop.test/grün", "https://shop.test/gr%C3%BCn"),
        ("https://shop.test/?q=grün&a=1", "https://shop.test/?q=gr%C3%BCn&a=1"),
        ("https://shop.test/#grün", "https://shop.test/#gr%C3%BCn"),
        ("https://shop.test/%C3%BC/ü", "https://shop.test/%C3%BC/%C3%BC"),
        ("https://shop.test/😀", "https://shop.test/%F0%9F%98%80"),
        ("https://shop.test/a b", "https://shop.test/a%20b"),
        ("https://shop.test/a\r\nSet-Cookie: b", "https://shop.test/aSet-Cookie:%20b"),
        ("https://shop.test/\x00\x7f\t", "https://shop.test/%00%7F"),
        (
            "https://shop.test/kad\u0131n?q=\u0130#\u0131",
            "https://shop.test/kad%C4%B1n?q=%C4%B0#%C4%B1",
        ),
        ("http://shop.test/\u017f\u212a", "http://shop.test/%C5%BF%E2%84%AA"),
        ("https://shop.test/\u2028", "https://shop.test/%E2%80%A8"),
    ],
)
def test_other_characters_are_percent_encoded_as_utf8(target: str, expected: str) -> None:
    assert location(target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://bücher.test/", "https://xn--bcher-kva.test/"),
        ("https://BÜCHER.Test/", "https://xn--bcher-kva.test/"),
        ("https://u:p@bücher.test:8443/ü", "https://u:p@xn--bcher-kva.test:8443/%C3%BC"),
        ("https://ü:p@shop.test/", "https://%C3%BC:p@shop.test/"),
        ("https://bücher.test", "https://xn--bcher-kva.test"),
        ("https://bücher.test?a", "https://xn--bcher-kva.test?a"),
        ("https://bücher。test/", "https://xn--bcher-kva.test/"),
        ("https://_dmarc.bücher.test./", "https://_dmarc.xn--bcher-kva.test./"),
        ("https://faß.test/", "https://xn--fa-hia.test/"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://bücher.test\\@evil.test/", "https://xn--bcher-kva.test\\@evil.test/"),
    ],
)
def test_a_host_outside_ascii_becomes_its_a_label(target: str, expected: str) -> None:
    assert location(target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://💩.test/", "https://%F0%9F%92%A9.test/"),
        ("https://ü\u2044evil.test/", "https://%C3%BC%E2%81%84evil.test/"),
        ("https://shop\uff0fevil.test/", "https://shop%EF%BC%8Fevil.test/"),
        ("https://shop\uff20evil.test/", "https://shop%EF%BC%A0evil.test/"),
        ("https://shop\uff1aevil.test/", "https://shop%EF%BC%9Aevil.test/"),
        ("https://\xad/evil.test", "https://%C2%AD/evil.test"),
        ("https://ü:port/", "https://%C3%BC:port/"),
        ("https://ü" + "a" * 64 + ".test/", "https://%C3%BC" + "a" * 64 + ".test/"),
    ],
)
def test_a_host_without_an_a_label_is_percent_encoded(target: str, expected: str) -> None:
    assert location(target) == expected
