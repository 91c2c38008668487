"""X-MSYS-API headers by the thousand, good and bad, and an oracle that is not our code.

The oracle has the standard library's JSON parser and checks written by hand from the documented
behaviour. It says what the proxy must answer, or what must show in the copies.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from random import Random
from string import ascii_letters, digits
from typing import Any, Final, TypeAlias

JSON_ERROR: Final = (
    r"550 5\.6\.0 JSON parsing error in X-MSYS-API \(line 1, column \d+: [ -~]{1,300}\)"
)
TWICE: Final = "550 5.6.0 X-MSYS-API header present more than once"
TOO_LONG: Final = "550 5.6.0 smtpapi_campaign_id context is limited to 64 bytes"
TOO_MANY: Final = "550 5.6.0 X-MSYS-API 'cc', 'bcc' and 'archive' are limited to 1000 recipients"

TOO_MANY_RECIPIENTS: Final = (
    "550 5.6.0 X-MSYS-API 'x_msys_track.recipients' is limited to 1000 recipients"
)
RECIPIENT: Final = "to@reader.example"
"""Of the SMTP transaction."""

TYPE_NAMES: Final = {str: "string", dict: "json object", list: "json array", bool: "boolean"}
TYPES: Final[Mapping[str, type]] = {
    "campaign_id": str, "metadata": dict, "tags": list, "options": dict,
    "cc": list, "bcc": list, "archive": list, "x_msys_track": dict,
}  # fmt: skip
OWN_TYPES: Final = {key: TYPES[key] for key in ("campaign_id", "metadata", "tags", "options")}
"""What may be asked for one recipient."""
SWITCHES: Final = ("open_tracking", "click_tracking", "initial_open", "transactional")
OPTION_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys([*SWITCHES, "skip_suppression", "inline_css"], bool),
    **dict.fromkeys(["ip_pool", "dkim_key"], str),
}
COPIES: Final = ("cc", "bcc", "archive")

ALPHANUMERIC: Final = ascii_letters + digits
ATOM: Final = frozenset(ALPHANUMERIC + "!#$%&'*+/=?^_`{|}~-")
LABEL: Final = frozenset(ALPHANUMERIC + "_-")
NO_AT: Final = "is not a mail address: it has no @"
TOO_WIDE: Final = "is not a mail address: longer than 254 characters"
NOT_LOCAL: Final = "is not a mail address: what precedes the @ is no local part"
NOT_DOMAIN: Final = "is not a mail address: what follows the @ is no domain"
CONTROL: Final = "can't stand in a header field: it has a control character"
NOT_TEXT: Final = "must be of type 'string'"

GOOD_MAILBOXES: Final[tuple[tuple[Any, str], ...]] = (
    ("a@x.example", "a@x.example"),
    ("A.b+c@Sub.X.example", "A.b+c@Sub.X.example"),
    ("a@X.Example", "a@X.Example"),
    ("to@reader.example", "to@reader.example"),
    ("ip@[192.0.2.1]", "ip@[192.0.2.1]"),
    ("a@müller.example", "a@xn--mller-kva.example"),
    ({"email": "n@x.example"}, "n@x.example"),
    ({"email": "jo@x.example", "name": "Jo"}, "jo@x.example"),
    ({"email": "joe@x.example", "name": 'Joé "Q" <Öz>', "other": 1}, "joe@x.example"),
    ({"email": "empty@x.example", "name": ""}, "empty@x.example"),
)
"""What may stand in a list, and the address that then gets a copy."""

BAD_MAILBOXES: Final[tuple[tuple[Any, str, str], ...]] = (
    ("no-at", "", NO_AT),
    ("", "", NO_AT),
    ("@x.example", "", NOT_LOCAL),
    ("a b@x.example", "", NOT_LOCAL),
    ("<a@x.example", "", NOT_LOCAL),
    ("Ann <a@x.example>", "", NOT_LOCAL),
    ("a@x.example,b@x.example", "", NOT_LOCAL),
    ("é @x.example", "", NOT_LOCAL),
    ("é\u2028@x.example", "", NOT_LOCAL),
    ("é" * 33 + "@x.example", "", NOT_LOCAL),
    (f"{'a' * 65}@x.example", "", NOT_LOCAL),
    ("a\r\nRCPT TO:<b@x.example", "", NOT_LOCAL),
    ("a@", "", NOT_DOMAIN),
    ("a@x..example", "", NOT_DOMAIN),
    ("a@x.example>", "", NOT_DOMAIN),
    ("a@x.example\r\nBcc: b@x.example", "", NOT_LOCAL),
    ("a@x.example\n", "", NOT_DOMAIN),
    (f"a@{'x' * 64}.example", "", NOT_DOMAIN),
    (f"a@{'.'.join(['x' * 60] * 5)}", "", TOO_WIDE),
    ({"email": "a@x.example", "name": "x\r\nBcc: b@x.example"}, ".name", CONTROL),
    ({"email": "a@x.example", "name": "x\u0000"}, ".name", CONTROL),
    ({"email": "a@x.example", "name": 7}, ".name", NOT_TEXT),
    ({"email": "a@", "name": "Jo"}, ".email", NOT_DOMAIN),
    ({"name": "Jo"}, ".email", NOT_TEXT),
    ({"email": None}, ".email", NOT_TEXT),
    ({"email": ["a@x.example"]}, ".email", NOT_TEXT),
    ({}, ".email", NOT_TEXT),
    (None, "", NOT_TEXT),
    (7, "", NOT_TEXT),
    (["a@x.example"], "", NOT_TEXT),
)
"""What may not stand there, the member at fault, and what is said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The message goes to no recipient; the reply fits one of these patterns."""

    replies: tuple[str, ...]

    def fits(self, reply: str) -> bool:
        return any(re.fullmatch(each, reply) for each in self.replies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What shows in the copies; None of an option: the message does not say."""

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    initial_open: bool | None = None
    transactional: bool | None = None
    campaign_id: str | None = None
    metadata: Any = None
    tags: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    archive: tuple[str, ...] = ()


Verdict: TypeAlias = Refused | Accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Header fields as they are sent, and what must come of them."""

    fields: tuple[bytes, ...]
    verdict: Verdict


def cases(seed: int, count: int) -> Iterator[Case]:
    random = Random(seed)  # noqa: S311 - the same cases at each run
    for _ in range(count):
        yield _draw_case(random)


# The oracle


def judge_value(text: str | None) -> Verdict:
    """Judge a field's value after unfolding and decoding; None: it could not be decoded."""
    members = None if text is None else _read_members(text)
    if members is None:
        return Refused(replies=(JSON_ERROR,))
    members = _drop_nulls(members)
    faults = [*_type_faults(members, TYPES), *_faults(members), *_copy_faults(members)]
    faults += _extension_faults(members.get("x_msys_track"))
    if faults:
        return Refused(replies=tuple(re.escape(fault) for fault in faults))
    # What is asked for the recipient counts, then what is asked for all.
    own = _find_own(members)
    options = _drop_nulls(members.get("options", {})) | _drop_nulls(own.get("options", {}))
    shown: dict[str, Any] = {name: options.get(name) for name in SWITCHES}
    for key in COPIES:
        shown[key] = tuple(map(_read_address, members.get(key, [])))
    members |= own
    return Accepted(
        campaign_id=members.get("campaign_id"),
        metadata=_cut_metadata(members.get("metadata", {})),
        tags=tuple(dict.fromkeys(members.get("tags", [])))[:10],
        **shown,
    )


def _drop_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def _find_own(members: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for the recipient alone; the last of several ways to write the address."""
    recipients = _drop_nulls(_drop_nulls(members.get("x_msys_track", {})).get("recipients", {}))
    own: dict[str, Any] = {}
    for address, asked in recipients.items():
        local, _, domain = address.rpartition("@")
        if f"{local}@{domain.lower()}" == RECIPIENT:
            own = _drop_nulls(asked)
    return own


def _read_members(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, object_pairs_hook=_read_pairs)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _depth(value) <= 64 else None


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Read an object, of which also a pair that a later one replaces must be JSON."""
    if not all(_is_json(key) and _is_json(value) for key, value in pairs):
        raise ValueError("what only lenient parsers read")
    return dict(pairs)


def _is_json(value: Any) -> bool:
    """Whether a scalar, and each within lists, is one that a strict parser reads."""
    match value:
        case list():
            return all(map(_is_json, value))
        case str():
            return not any("\ud800" <= each <= "\udfff" for each in value)
        case float():
            return isfinite(value)
        case int():
            return abs(value) < 10**308
        case _:
            return True


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


def _type_faults(
    members: Mapping[str, Any], types: Mapping[str, type], prefix: str = ""
) -> Iterator[str]:
    for key, value in members.items():
        kind = types.get(key, object)
        if not isinstance(value, kind):
            yield f"550 5.6.0 X-MSYS-API '{prefix}{key}' must be of type '{TYPE_NAMES[kind]}'"


def _faults(members: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    options = members.get("options")
    if isinstance(options, dict):
        yield from _type_faults(_drop_nulls(options), OPTION_TYPES, f"{prefix}options.")
    campaign = members.get("campaign_id")
    if isinstance(campaign, str) and len(campaign.encode()) > 64:
        yield TOO_LONG
    tags = members.get("tags")
    for place, tag in enumerate(tags if isinstance(tags, list) else []):
        if not isinstance(tag, str):
            yield f"550 5.6.0 X-MSYS-API '{prefix}tags[{place}]' must be of type 'string'"


def _copy_faults(members: Mapping[str, Any]) -> Iterator[str]:
    entries = {key: members[key] for key in COPIES if isinstance(members.get(key), list)}
    if sum(map(len, entries.values())) > 1000:
        yield TOO_MANY
    for key, listed in entries.items():
        for place, entry in enumerate(listed):
            for member, said in _mailbox_faults(entry):
                yield f"550 5.6.0 X-MSYS-API '{key}[{place}]{member}' {said}"


def _extension_faults(extension: Any) -> Iterator[str]:
    given = _drop_nulls(extension) if isinstance(extension, dict) else {}
    yield from _type_faults(given, {"recipients": dict}, "x_msys_track.")
    recipients = given.get("recipients")
    if not isinstance(recipients, dict):
        return
    if len(recipients) > 1000:
        yield TOO_MANY_RECIPIENTS
    for place, (address, asked) in enumerate(recipients.items()):
        path = f"x_msys_track.recipients[{place}]"
        yield from (f"550 5.6.0 X-MSYS-API '{path}' {each}" for each in _address_faults(address))
        if isinstance(asked, dict):
            own = _drop_nulls(asked)
            yield from (*_type_faults(own, OWN_TYPES, f"{path}."), *_faults(own, f"{path}."))
        elif asked is not None:
            yield f"550 5.6.0 X-MSYS-API '{path}' must be of type 'json object'"


def _mailbox_faults(entry: Any) -> Iterator[tuple[str, str]]:
    """The members at fault, and what may be said of each."""
    if isinstance(entry, str):
        yield from (("", fault) for fault in _address_faults(entry))
    elif not isinstance(entry, dict):
        yield "", NOT_TEXT
    elif not isinstance(entry.get("email"), str):
        yield ".email", NOT_TEXT
    else:
        yield from ((".email", fault) for fault in _address_faults(entry["email"]))
        name = entry.get("name")
        if name is not None and not isinstance(name, str):
            yield ".name", NOT_TEXT
        elif any(ord(each) < 32 or 127 <= ord(each) < 160 for each in name or ""):
            yield ".name", CONTROL


def _address_faults(address: str) -> Iterator[str]:
    local, at, domain = address.rpartition("@")
    if not at:
        yield NO_AT
        return
    atoms = local.split(".")
    if len(local) > 64 or not all(atom and set(atom) <= ATOM for atom in atoms):
        yield NOT_LOCAL
    labels = _ascii(domain).split(".")
    is_literal = re.fullmatch(r"\[[0-9A-Za-z.:]+\]", domain)
    is_name = all(0 < len(label) <= 63 and set(label) <= LABEL for label in labels)
    if not is_literal and not is_name:
        yield NOT_DOMAIN
    if len(local) + 1 + len(_ascii(domain)) > 254:
        yield TOO_WIDE


def _read_address(entry: Any) -> str:
    local, _, domain = (entry["email"] if isinstance(entry, dict) else entry).rpartition("@")
    return f"{local}@{_ascii(domain)}"


def _ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _cut_metadata(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    kept: dict[str, Any] = {}
    for key, value in metadata.items():
        wider = {**kept, key: value}
        text = json.dumps(wider, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > 1000:
            break
        kept = wider
    return kept or None


# The generator: a JSON text, perhaps broken, and a way to write it into a header


def _draw_case(random: Random) -> Case:
    text = json.dumps(_draw_object(random), ensure_ascii=random.random() < 0.5)
    if random.random() < 0.3:
        text = _break_json(random, text)
    (write,) = random.choices([*_WRITERS], [*_WRITERS.values()])
    wire, meaning = write(random, text)
    name = random.choice([b"X-MSYS-API", b"x-msys-api", b"X-Msys-Api"])
    field = b"%b:%b%b" % (name, random.choice([b" ", b"", b"\r\n ", b"\t"]), wire)
    chance = random.random()
    if chance < 0.03:
        # The same value with other white space where it is folded is the same field again.
        space = random.choice([b" ", b"\r\n\t"])
        again = b"X-MSYS-API: " + re.sub(rb"\r\n[ \t]+", space, wire)
        return Case(fields=(field, again), verdict=judge_value(meaning))
    if chance < 0.06:
        other = b'X-MSYS-API: {"campaign_id":"another"}'
        fields = random.choice([(field, other), (other, field)])
        return Case(fields=fields, verdict=Refused(replies=(re.escape(TWICE),)))
    if chance < 0.08:
        near = random.choice([b"X-MSYS-API2", b"X-MSYS", b"XX-MSYS-API"])
        return Case(fields=(near + field[len(name) :],), verdict=Accepted())
    return Case(fields=(field,), verdict=judge_value(meaning))


def _draw_object(random: Random) -> Any:
    chance = random.random()
    if chance < 0.02:
        return random.choice([[], "text", 7, None, True, [{"campaign_id": "x"}], 1.5])
    members: dict[str, Any] = {}
    makers: list[tuple[str, Callable[[Random], Any]]] = [
        ("campaign_id", _draw_campaign),
        ("metadata", _draw_metadata),
        ("tags", _draw_tags),
        ("options", _draw_options),
        *((key, _draw_mailboxes) for key in COPIES),
    ]
    random.shuffle(makers)
    if random.random() < 0.3:
        members["x_msys_track"] = _draw_extension(random)
    for key, make in makers:
        if random.random() < (0.15 if make is _draw_mailboxes else 0.5):
            members[key] = _draw_anything(random) if random.random() < 0.03 else make(random)
    if random.random() < 0.1:
        key = random.choice(["description", "Campaign_ID", "tracking_domain", "käse", ""])
        members[key] = _draw_anything(random)
    if random.random() < 0.004:
        members[random.choice(COPIES)] = ["a@x.example"] * random.choice([999, 1000, 1001, 1200])
    return members


def _draw_extension(random: Random) -> Any:
    if random.random() < 0.05:
        return _draw_anything(random)
    good = [RECIPIENT, "to@Reader.Example", "TO@reader.example", "other@x.example", "a@[::1]"]
    bad = ["no-at", "", "a b@x.example", "a@x..example", "a@"]
    recipients: dict[str, Any] = {}
    for _ in range(random.randrange(4)):
        address = random.choice(bad if random.random() < 0.03 else good)
        recipients[address] = _draw_own(random)
    if random.random() < 0.01:
        size = random.choice([1000, 1001])
        recipients = {f"r{number}@x.example": {} for number in range(size)}
    extension: dict[str, Any] = {"recipients": recipients}
    if random.random() < 0.1:
        extension[random.choice(["recipients", "other"])] = _draw_anything(random)
    return extension


def _draw_own(random: Random) -> Any:
    if random.random() < 0.05:
        return _draw_anything(random)
    makers: list[tuple[str, Callable[[Random], Any]]] = [
        ("campaign_id", _draw_campaign),
        ("metadata", _draw_metadata),
        ("tags", _draw_tags),
        ("options", _draw_options),
        ("other", _draw_anything),
    ]
    return {key: make(random) for key, make in makers if random.random() < 0.4}


def _draw_anything(random: Random) -> Any:
    return random.choice(
        [None, True, False, 0, -1, 2.5, "", "text", "true", [], ["a"], {}, {"a": 1}, 10**20]
    )


def _draw_campaign(random: Random) -> str:
    letter = random.choice(["x", "ü", "私", "😀", " ", '"', "\\", "\u0001", "/"])
    size = random.choice([0, 1, 5, 16, 17, 21, 22, 32, 33, 63, 64, 65, 66, 200])
    return letter * size


def _draw_metadata(random: Random) -> dict[str, Any]:
    def value(depth: int) -> Any:
        match random.randrange(9):
            case 0:
                return random.choice([0, -1, 10**300, 1e300, 2.5e-7, -0.0, 2**63])
            case 1:
                return random.choice([True, False, None])
            case 2 if depth < 3:
                return {str(each): value(depth + 1) for each in range(random.randrange(3))}
            case 3 if depth < 3:
                return [value(depth + 1) for _ in range(random.randrange(3))]
            case 4:
                return "ü" * random.choice([0, 1, 100, 500])
            case _:
                return random.choice(
                    ["", "value", "a b", "{{x}}", "\n", "\u2028", "👍", "\\u0041"]
                )

    keys = random.sample(["a", "key", "käse", "", "x y", "order", "ü" * 20], random.randrange(6))
    return {key: value(0) for key in keys}


def _draw_tags(random: Random) -> list[Any]:
    tags: list[Any] = [
        random.choice(["cat", "dog", "ü", "", "a b", f"t{random.randrange(20)}"])
        for _ in range(random.choice([0, 1, 2, 10, 11, 14]))
    ]
    if random.random() < 0.05:
        tags.insert(random.randrange(len(tags) + 1), random.choice([None, 7, True, [], {}]))
    return tags


def _draw_options(random: Random) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, kind in OPTION_TYPES.items():
        if random.random() < 0.4:
            good = random.choice([True, False]) if kind is bool else "name"
            bad: Any = random.choice([None, 0, 1, "true", "1", [], 1.5, {}])
            options[key] = bad if random.random() < 0.04 else good
    if random.random() < 0.1:
        options["unheard_of"] = _draw_anything(random)
    return options


def _draw_mailboxes(random: Random) -> list[Any]:
    entries = [random.choice(GOOD_MAILBOXES)[0] for _ in range(random.randrange(4))]
    if random.random() < 0.15:
        place = random.randrange(len(entries) + 1)
        entries.insert(place, random.choice(BAD_MAILBOXES)[0])
    return entries


def _break_json(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    deep = random.choice([63, 64, 65, 200, 5000])
    # What goes into the object's beginning, where it has one.
    members = (
        '"metadata":{"n":NaN},', '"metadata":{"n":-Infinity},', '"metadata":{"n":1e999},',
        f'"metadata":{{"n":{"9" * 308}}},', f'"metadata":{{"n":{"9" * 309}}},',
        f'"metadata":{{"n":-{"9" * 5000}}},', '"metadata":{"n":01},', '"metadata":{"n":.5},',
        r'"campaign_id":"\ud800",', r'"campaign_id":"\ude00\ud83d",', r'"x":["\udc00x"],',
        r'"campaign_id":"\ud83d\ude00",', r'"campaign_id":"\u00fc",', r'"campaign_id":"\x41",',
        '"campaign_id":"tab\there",', '"campaign_id":"\x01",', '"campaign_id":"\x7f",',
        "'campaign_id':'x',", "campaign_id:1,", '"a":1,,', "/* x */", '"a":undefined,',
        '"campaign_id":"first","campaign_id":7,', '"tags":7,"tags":["last"],',
        f'"x":{"[" * deep}{"]" * deep},', f'"x":{"[" * deep},', '"metadata":{"a":1}"tags":[],',
        '"x":"unclosed,', r'"x":"\u12",', '"x":True,', "\ufeff", '"__proto__":{"a":1},',
    )  # fmt: skip
    changes = (
        lambda: text[:at] + text[at + 1 :],
        lambda: text[:at] + random.choice('{}[]",:\\0aü ') + text[at:],
        lambda: text[:at],
        lambda: text[:at] + text[at // 2 :],
        lambda: text.replace("}", ",}", 1),
        lambda: text.replace('"', "'"),
        lambda: text + random.choice(["}", "x", " {}", ";", ",", "\u00a0"]),
        lambda: random.choice(["x", "\ufeff", "=", "[", "\u00a0", "// "]) + text,
        lambda: "",
    )
    if random.random() < 0.6:
        return text.replace("{", "{" + random.choice(members), 1)
    return random.choice(changes)()


# Each writer gives the value of a field, and what is read off it: None where nothing can be.
_Written: TypeAlias = tuple[bytes, str | None]


def _write_plain(_: Random, text: str) -> _Written:
    return text.encode("utf-8", "surrogatepass"), text


def _fold_at_spaces(random: Random, text: str) -> _Written:
    fold = random.choice(["\r\n ", "\r\n\t", "\r\n  \t "])
    wire = re.sub("(?<! ) (?! )", lambda _: random.choice([fold, " "]), text)
    return wire.encode(), text


def _fold_anywhere(random: Random, text: str) -> _Written:
    """Fold in the middle of anything: a space comes into the text."""
    at = random.randrange(len(text) + 1)
    before, after = text[:at].rstrip(" \t") if at == len(text) else text[:at], text[at:]
    after = after.lstrip(" \t")
    return f"{before}\r\n   {after}".encode(), f"{before} {after}"


def _encode_whole(random: Random, text: str) -> _Written:
    charset = "utf-8"
    if random.random() < 0.3 and all(each < "\u0100" for each in text):
        charset = random.choice(["iso-8859-1", "ISO-8859-1"])
    octets = text.encode(charset)
    step = random.choice([9, 30, 45])  # characters may be cut in two
    words = [octets[at : at + step] for at in range(0, len(octets), step)]
    if random.random() < 0.5:
        written = [f"=?{charset}?B?{base64.b64encode(word).decode()}?=" for word in words]
    else:
        written = [f"=?{charset}?q?{_quote(word)}?=" for word in words]
    return "\r\n ".join(written).encode(), text


def _encode_runs(_: Random, text: str) -> _Written:
    """Encode what is not ASCII, within the strings."""

    def encode(run: re.Match[str]) -> str:
        return f"=?UTF-8?B?{base64.b64encode(run[0].encode()).decode()}?="

    return re.sub(r"[^\x00-\x7f]+(?: +[^\x00-\x7f]+)*", encode, text).encode(), text


def _put_in_a_bad_word(random: Random, text: str) -> _Written:
    words = ("utf-8?B?!!!", "x-none?Q?a", "utf-8?Q?=FF", "utf-8?Q?=G0", "rot13?Q?a")
    at = random.randrange(len(text) + 1)
    return f"{text[:at]}=?{random.choice(words)}?={text[at:]}".encode(), None


def _put_in_no_word(_: Random, text: str) -> _Written:
    """Put in what looks like an encoded-word but is not one."""
    changed = text.replace('"', '"=?utf-8?X?abc?= =?', 1)
    return changed.encode(), changed


def _put_in_bad_octets(random: Random, text: str) -> _Written:
    octets = text.encode()
    at = random.randrange(len(octets) + 1)
    bad = random.choice([b"\xff", b"\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
    return octets[:at] + bad + octets[at:], None


_WRITERS: Final[Mapping[Callable[[Random, str], _Written], float]] = {
    _write_plain: 4,
    _fold_at_spaces: 4,
    _fold_anywhere: 1,
    _encode_whole: 2,
    _encode_runs: 2,
    _put_in_a_bad_word: 0.2,
    _put_in_no_word: 0.2,
    _put_in_bad_octets: 0.3,
}


def _quote(octets: bytes) -> str:
    plain = ALPHANUMERIC.encode()
    return "".join(chr(each) if each in plain else f"={each:02X}" for each in octets)
