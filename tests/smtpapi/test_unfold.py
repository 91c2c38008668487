from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtpapi.json import JsonError
from msys_track.smtpapi.unfold import decode_words, unfold_value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b' {"campaign_id": "my_awes\r\n   ome"}\r\n', b'{"campaign_id": "my_awes ome"}'),
        (b' {"campaign_id": "my_awes\n\tome"}\n', b'{"campaign_id": "my_awes ome"}'),
        (b"\r\n {}\r\n", b"{}"),
        (b" {}\r\n \r\n", b"{}"),
        (b' {"a":\r\n \t 1,\r\n "b": 2}', b'{"a": 1, "b": 2}'),
        (b'{"a": "two  spaces"}', b'{"a": "two  spaces"}'),
    ],
)
def test_each_fold_becomes_exactly_one_space(field: bytes, value: bytes) -> None:
    assert unfold_value(field) == value


@given(
    st.lists(
        st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1).map(str.encode),
        min_size=1,
    ),
    st.sampled_from([b"\r\n ", b"\n ", b"\r\n\t", b"\r\n \t  "]),
)
def test_folding_between_words_is_undone(words: list[bytes], fold: bytes) -> None:
    assert unfold_value(fold.join(words)) == b" ".join(words)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('{"campaign_id": "Frühling"}'.encode(), '{"campaign_id": "Frühling"}'),
        (b'{"campaign_id": "=?utf-8?Q?Fr=C3=BChling_24?="}', '{"campaign_id": "Frühling 24"}'),
        (b'{"campaign_id": "=?iso-8859-1?q?Fr=FChling?="}', '{"campaign_id": "Frühling"}'),
        (b"=?UTF-8?B?eyJ0YWdzIjpbIsOkIl19?=", '{"tags":["ä"]}'),
        (b"=?UTF-8*de?B?eyJ0YWdzIjpb?= =?UTF-8?B?IsOkIl19?=", '{"tags":["ä"]}'),
        (b"=?utf-8?B?eyJ0YWdzIjpbIsM=?= =?utf-8?B?pCJdfQ==?=", '{"tags":["ä"]}'),
        (b"=?utf-8?q?=7B?= =?us-ascii?q?=7D?=", "{}"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b'{"u": "http://x/?a=?b"}', '{"u": "http://x/?a=?b"}'),
        (b'{"u": "=?utf-8?x?no-such-encoding?="}', '{"u": "=?utf-8?x?no-such-encoding?="}'),
        (b"a =?utf-8?q?b?= c", "a b c"),
        ("=?\u212aoi8-r?q?x?=".encode(), "=?\u212aoi8-r?q?x?="),
        ("=?utf-8é?q?x?=".encode(), "=?utf-8é?q?x?="),
        ("=?utf-8?q?a?=\u2003=?utf-8?q?b?=".encode(), "a\u2003b"),
    ],
)
def test_raw_utf8_and_encoded_words_are_read(value: bytes, text: str) -> None:
    assert decode_words(value) == text


@pytest.mark.parametrize(
    ("value", "column", "what"),
    [
        (b'{"campaign_id": "Fr\xfchling"}', 20, "not valid UTF-8"),
        ('{"ä": "'.encode() + b'\xff"}', 8, "not valid UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', 8, "not valid UTF-8"),
        (b'{"a": "=?utf-8?q?=FC?="}', 8, "encoded-word is not valid utf-8"),
        (b'{"a": "=?klingon?q?x?="}', 8, "unknown charset klingon in an encoded-word"),
        (b'{"a": "=?zlib?b?eJw=?="}', 8, "unknown charset zlib in an encoded-word"),
        (b'{"a": "=?punycode?q?x?="}', 8, "unknown charset punycode in an encoded-word"),
        (b'{"a": "=?utf-8?b?not!base64?="}', 8, "malformed encoded-word"),
        (b'{"a": "=?utf-8?b?eyJ0?="}=?utf-8?b?e?=', 26, "malformed encoded-word"),
        (b'{"a": "=?utf-8?q?=ZZ?="}', 8, "malformed encoded-word"),
        ('{"a": "=?utf-8?q?ü?="}'.encode(), 8, "malformed encoded-word"),
        ('{"a": "=?utf-8?q?a\u2003b?="}'.encode(), 8, "malformed encoded-word"),
        (b"=?utf-8?q?ok?= =?nope?q?x?=", 16, "unknown charset nope in an encoded-word"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_its_column(
    value: bytes, column: int, what: str
) -> None:
    with pytest.raises(JsonError) as caught:
        decode_words(value)
    assert (caught.value.line, caught.value.column, caught.value.what) == (1, column, what)


@given(
    st.binary() | st.text(st.sampled_from("=?utf-8bq AZ+/_0\u00e4\t"), max_size=60).map(str.encode)
)
def test_any_bytes_and_any_near_encoded_word_give_text_or_a_fault(value: bytes) -> None:
    with suppress(JsonError):
        decode_words(unfold_value(value)).encode()
