import json
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api_headers import BAD_MAILBOXES

from msys_track.errors import HeaderRefusedError
from msys_track.smtpapi.header import ApiHeader, parse_header
from msys_track.smtpapi.mailbox import Mailbox

SAFE_REPLY = re.compile(r"5\.6\.0 [ -~]{1,394}")
NO_OBJECT: list[object] = [1, True, [], "{}"]
NO_ARRAY: list[object] = [1, True, {}, "a@b.test"]
NO_STRING: list[object] = [1, True, [], {}]
NO_BOOLEAN: list[object] = ["true", 1, 0, 1.0, [], {}]
BOOLEANS = [
    "open_tracking", "click_tracking", "transactional", "initial_open", "skip_suppression",
    "inline_css", "sandbox", "perform_substitutions",
]  # fmt: skip
KNOWN = ["campaign_id", "metadata", "tags", "options", "cc", "bcc", "archive", "x_msys_track"]
RECIPIENTS = "x_msys_track.recipients"
KNOWN_OPTIONS = ["open_tracking", "click_tracking", "transactional", "ip_pool", "sandbox"]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
options = st.dictionaries(st.sampled_from(KNOWN_OPTIONS) | st.text(max_size=5), values)
headers = st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=5), values | options)
requests = st.dictionaries(st.sampled_from(KNOWN), scalars | options, max_size=3)
recipients = st.dictionaries(st.sampled_from(["a@b.test", "x"]), scalars | requests, max_size=2)


def parse_members(members: object) -> ApiHeader:
    header = parse_header([json.dumps(members).encode()])
    assert header is not None
    return header


def check_is_safe(value: bytes) -> ApiHeader | None:
    """Check that a value is read, or refused in a safe line."""
    try:
        header = parse_header([value])
    except HeaderRefusedError:
        refusal(value)
        return None
    assert header is not None
    return header


def ask_of_recipients(recipients: object) -> dict[str, object]:
    return {"x_msys_track": {"recipients": recipients}}


def refusal(*fields: bytes) -> str:
    with pytest.raises(HeaderRefusedError) as caught:
        parse_header(fields)
    assert caught.value.code == 550
    assert SAFE_REPLY.fullmatch(caught.value.text)
    return caught.value.text


def test_a_message_without_the_header_asks_for_nothing() -> None:
    assert parse_header([]) is None


def test_every_key_in_use_is_read() -> None:
    field = (
        b' {"options": {"open_tracking": true, "click_tracking": false,\r\n'
        b'  "transactional": true}, "campaign_id": "spring\r\n\tsale",\r\n'
        b' "metadata": {"b": [1, {"c": null}], "a": "\\u00fc"}, "tags": ["x", "y"]}\r\n'
    )
    assert parse_header([field]) == ApiHeader(
        open_tracking=True,
        click_tracking=False,
        transactional=True,
        campaign_id="spring sale",
        metadata='{"b":[1,{"c":null}],"a":"ü"}',
        tags=("x", "y"),
    )


def test_absent_and_null_options_are_neither_on_nor_off() -> None:
    assert parse_members({}) == ApiHeader()
    assert (
        parse_members({"options": {"open_tracking": None, "click_tracking": None}}) == ApiHeader()
    )
    assert parse_members({"options": {"open_tracking": False}}).open_tracking is False


@pytest.mark.parametrize("key", KNOWN)
def test_a_key_that_is_null_is_absent(key: str) -> None:
    assert parse_members({key: None}) == ApiHeader()


JSON_ERROR = "5.6.0 JSON parsing error in X-MSYS-API (line 1, column "


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([b"{}", b'{"tags": []}'], "5.6.0 X-MSYS-API header present more than once"),
        ([b"[]"], f"{JSON_ERROR}1: expected an object, found an array)"),
        # The column is the one in the unfolded value.
        ([b' {"campaign_id":\r\n   nonsense}\r\n'], f"{JSON_ERROR}17: expecting value)"),
        ([b"{"], f"{JSON_ERROR}2: "),
        ([b"\r\n"], f"{JSON_ERROR}1"),
        ([b'{"campaign_id": "\xff"}'], f"{JSON_ERROR}18: not valid UTF-8"),
    ],
)
def test_a_rejection_has_its_documented_text(fields: list[bytes], text: str) -> None:
    assert refusal(*fields).startswith(text)


@pytest.mark.parametrize(
    ("prefix", "keys", "wanted", "others"),
    [
        ("", ["campaign_id"], "string", NO_STRING),
        ("", ["metadata", "options"], "json object", NO_OBJECT),
        ("", ["tags", "cc", "bcc", "archive"], "json array", NO_ARRAY),
        ("options.", BOOLEANS, "boolean", NO_BOOLEAN),
        ("options.", ["ip_pool", "dkim_key"], "string", NO_STRING),
        ("", ["x_msys_track"], "json object", NO_OBJECT),
    ],
)
def test_a_key_of_another_type_is_refused_by_name(
    prefix: str, keys: list[str], wanted: str, others: list[object]
) -> None:
    for key, wrong in product(keys, others):
        members = {"options": {key: wrong}} if prefix else {key: wrong}
        said = refusal(json.dumps(members).encode())
        assert said == f"5.6.0 X-MSYS-API '{prefix}{key}' must be of type '{wanted}'"


OPEN = "the field ends inside its object: continuation lines begin with a space or tab"


@pytest.mark.parametrize(
    "end", ['{"metadata": {"a": 1}', '{"metadata": {"a": 1},', "{", '{"a": "b']
)
def test_a_value_that_ends_inside_its_object_tells_how_lines_are_continued(end: str) -> None:
    assert refusal(end.encode()).endswith(f"; {OPEN})")


@pytest.mark.parametrize("value", ['{"a" 1}', "[", '"a', '{"a": 1}}', "nonsense"])
def test_another_mistake_does_not(value: str) -> None:
    assert OPEN not in refusal(value.encode())


@pytest.mark.parametrize("value", ['\ufeff{"a": 1}', '{\ufeff"a": 1}', '{"a":\r\n \ufeff1}'])
def test_a_byte_order_mark_is_named(value: str) -> None:
    assert "a byte order mark, which JSON does not have" in refusal(value.encode())


def test_a_mistake_in_a_long_value_is_told_with_what_stands_around_it() -> None:
    tags = ", ".join(f'"tag {number}"' for number in range(40))
    text = f'{{"tags": [{tags}] "campaign_id": "spring", "metadata": {{"name": "Zoë"}}}}'
    column = text.index('"campaign_id"') + 1
    assert refusal(text.encode()) == (
        f"{JSON_ERROR}{column}: expecting ',' delimiter; near: "
        '7", "tag 38", "tag 39"] "campaign_id": "spring")'
    )


def test_what_stands_around_a_mistake_has_no_address_that_lost_its_at_sign() -> None:
    text = '{"metadata": {"a": 1}, "tags": ["a", "b"] "cc": ["a.long.local.part@reader.test"]}'
    assert "a.long" not in refusal(text.encode())


@pytest.mark.parametrize("tag", [None, *NO_STRING])
def test_a_tag_that_is_not_a_string_is_refused_by_its_place(tag: object) -> None:
    value = json.dumps({"tags": ["fine", tag]}).encode()
    assert refusal(value) == "5.6.0 X-MSYS-API 'tags[1]' must be of type 'string'"


def test_tags_are_kept_once_in_order_and_cut_at_ten() -> None:
    header = parse_members({"tags": ["b", "a", "b", *map(str, range(20))]})
    assert header.tags == ("b", "a", "0", "1", "2", "3", "4", "5", "6", "7")
    assert header.dropped_tags == 12
    assert parse_members({"tags": []}).tags == ()


def test_a_campaign_is_measured_in_bytes_of_utf8() -> None:
    assert parse_members({"campaign_id": "ü" * 32}).campaign_id == "ü" * 32
    value = json.dumps({"campaign_id": "ü" * 32 + "x"}).encode()
    assert refusal(value) == "5.6.0 smtpapi_campaign_id context is limited to 64 bytes"


@pytest.mark.parametrize("key", ["cc", "bcc", "archive"])
def test_readers_of_copies_are_addresses_or_objects(key: str) -> None:
    assert parse_members({key: []}) == ApiHeader()
    boxes = getattr(parse_members({key: ["a@b.test", {"email": "c@d.test", "name": "Ü. C"}]}), key)
    assert boxes == (Mailbox("a@b.test"), Mailbox("c@d.test", "Ü. C"))


def test_a_header_asks_for_a_thousand_copies_at_most() -> None:
    many = [f"reader{number}@example.test" for number in range(500)]
    assert len(parse_members({"cc": many, "bcc": many}).cc) == 500
    value = json.dumps({"cc": many, "bcc": many, "archive": ["one@more.test"]}).encode()
    assert refusal(value) == (
        "5.6.0 X-MSYS-API 'cc', 'bcc' and 'archive' are limited to 1000 recipients"
    )


@pytest.mark.parametrize(("entry", "member", "said"), BAD_MAILBOXES)
def test_an_entry_that_mail_can_not_be_sent_to_is_refused(
    entry: object, member: str, said: str
) -> None:
    refused = refusal(json.dumps({"cc": [entry]}).encode())
    assert refused == f"5.6.0 X-MSYS-API 'cc[0]{member}' {said}"


def test_a_name_for_a_copy_s_reader_has_512_characters_at_most() -> None:
    assert parse_members({"cc": [{"email": "a@b.test", "name": "x" * 512}]}).cc
    assert refusal(json.dumps({"cc": [{"email": "a@b.test", "name": "x" * 513}]}).encode()) == (
        "5.6.0 X-MSYS-API 'cc[0].name' can't stand in a header field: longer than 512 characters"
    )


def test_equal_fields_count_once_however_they_are_folded() -> None:
    header = parse_header([b' {"tags": ["a"]}\r\n', b'{"tags":\r\n ["a"]}\r\n'])
    assert header == ApiHeader(tags=("a",))


def test_a_recipient_may_have_requests_of_their_own() -> None:
    jo = {"options": {"click_tracking": False}, "metadata": {"id": 7}, "campaign_id": "vip",
          "tags": ["x", "x"]}  # fmt: skip
    header = parse_members(
        {
            "campaign_id": "spring",
            **ask_of_recipients({"jo@Example.COM": jo, "ann@example.com": {}, "b@c.test": None}),
        }
    )
    assert header.campaign_id == "spring"
    assert header.find_recipient("jo@example.com") == ApiHeader(
        click_tracking=False, metadata='{"id":7}', campaign_id="vip", tags=("x",)
    )
    assert header.find_recipient("ann@EXAMPLE.com") == ApiHeader()
    assert header.find_recipient("b@c.test") is None
    assert header.find_recipient("JO@example.com") is None


@pytest.mark.parametrize("nothing", [None, {}, {"recipients": None}, {"recipients": {}}])
def test_without_a_recipient_the_extension_asks_for_nothing(nothing: object) -> None:
    assert parse_members({"x_msys_track": nothing}) == ApiHeader()


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"x_msys_track": {"privacy": "some"}}, "x_msys_track.privacy"),
        (
            {"x_msys_track": {"recipients": {"a@b.test": {"privacy": ""}}}},
            f"{RECIPIENTS}[0].privacy",
        ),
    ],
)
def test_a_word_for_privacy_that_is_none_is_refused(members: dict[str, object], path: str) -> None:
    said = refusal(json.dumps(members).encode())
    assert said == f"5.6.0 X-MSYS-API '{path}' must be one of full, truncated, aggregate"


def test_a_message_says_whether_it_may_be_kept() -> None:
    header = parse_members({"x_msys_track": {"keep_messages": False}})
    assert header == ApiHeader(keep_messages=False)
    said = refusal(b'{"x_msys_track": {"keep_messages": "no"}}')
    assert said == "5.6.0 X-MSYS-API 'x_msys_track.keep_messages' must be of type 'boolean'"
    # It is no option of SparkPost's.
    header = parse_members({"options": {"keep_messages": True}})
    assert header == ApiHeader(ignored_keys=("options.keep_messages",))


@pytest.mark.parametrize(
    ("recipients", "said"),
    [
        ([], f"'{RECIPIENTS}' must be of type 'json object'"),
        ({"a@b.test": 1}, f"'{RECIPIENTS}[0]' must be of type 'json object'"),
        ({"a@b.test": {}, "jo": {}}, f"'{RECIPIENTS}[1]' is not a mail address: it has no @"),
        (
            {"a@b.test": {"options": {"open_tracking": 1}}},
            f"'{RECIPIENTS}[0].options.open_tracking' must be of type 'boolean'",
        ),
        (
            {"a@b.test": {"metadata": []}},
            f"'{RECIPIENTS}[0].metadata' must be of type 'json object'",
        ),
        ({"a@b.test": {"tags": [1]}}, f"'{RECIPIENTS}[0].tags[0]' must be of type 'string'"),
    ],
)
def test_a_malformed_request_for_a_recipient_is_refused_by_its_place(
    recipients: object, said: str
) -> None:
    refused = refusal(json.dumps(ask_of_recipients(recipients)).encode())
    assert refused == f"5.6.0 X-MSYS-API {said}"


def test_a_recipient_s_campaign_has_the_header_s_limit() -> None:
    members = ask_of_recipients({"a@b.test": {"campaign_id": "x" * 65}})
    assert refusal(json.dumps(members).encode()) == (
        "5.6.0 smtpapi_campaign_id context is limited to 64 bytes"
    )


def test_a_thousand_recipients_may_have_requests() -> None:
    many: dict[str, object] = {f"r{number}@example.test": {} for number in range(1000)}
    assert len(parse_members(ask_of_recipients(many)).recipients or ()) == 1000
    many["one@more.test"] = {}
    assert refusal(json.dumps(ask_of_recipients(many)).encode()) == (
        f"5.6.0 X-MSYS-API '{RECIPIENTS}' is limited to 1000 recipients"
    )


def test_keys_without_effect_for_a_recipient_are_reported_by_their_place() -> None:
    own = {"cc": ["c@d.test"], "options": {"sandbox": True}, "tags": [*map(str, range(12))]}
    header = parse_members(
        {"x_msys_track": {"recipients": {"a@b.test": own}, "other": 1}, "description": "x"}
    )
    place = f"{RECIPIENTS}[0]"
    assert header.ignored_keys == (
        "description", "x_msys_track.other", f"{place}.cc", f"{place}.options.sandbox",
    )  # fmt: skip
    assert header.dropped_tags == 2


def test_keys_without_effect_are_reported_and_never_refused() -> None:
    members = {
        "open_tracking": True,
        "substitution_data": [1],
        "description": 5,
        "options": {"sandbox": True, "ip_pool": "a", "tracking_domain": "evil.test", "x": None},
    }
    ignored = ["open_tracking", "substitution_data", "description"]
    ignored += ["options.sandbox", "options.ip_pool", "options.tracking_domain"]
    assert parse_members(members) == ApiHeader(ignored_keys=tuple(ignored))


def test_curly_braces_are_text_and_double_encoding_is_not_repaired() -> None:
    assert parse_members({"metadata": {"a": "{{name}}"}}).metadata == '{"a":"{{name}}"}'
    assert parse_members({"campaign_id": "Ã¼"}).campaign_id == "Ã¼"


@given(headers)
def test_any_object_is_read_or_refused_in_a_safe_line(members: dict[str, object]) -> None:
    header = check_is_safe(json.dumps(members).encode())
    if header is not None and header.metadata is not None:
        assert json.loads(header.metadata) == members["metadata"]


@given(recipients)
def test_any_requests_for_recipients_are_read_or_refused_in_a_safe_line(asked: object) -> None:
    check_is_safe(json.dumps(ask_of_recipients(asked)).encode())


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_read_or_refused_in_a_safe_line(value: bytes) -> None:
    check_is_safe(value)


@given(st.data())
def test_a_mutated_header_is_read_or_refused_in_a_safe_line(data: st.DataObject) -> None:
    value = bytearray(
        b'{"options": {"open_tracking": true}, "metadata": {"a": "\\u00e9"}, '
        b'"tags": ["=?utf-8?q?=C3=A9?="], "campaign_id": "spring"}'
    )
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place] = data.draw(st.integers(0, 255))
    check_is_safe(bytes(value))


@pytest.mark.parametrize(
    "value",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b'{"a": 1e999}'],
)
def test_hostile_values_are_refused_in_a_safe_line(value: bytes) -> None:
    assert refusal(value).startswith(JSON_ERROR)
