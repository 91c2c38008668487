"""Who wins, seen from outside: real files, real SMTP, and what arrives at the next hop.

For every attribute and every pair of layers that have a word on it, the two say different things
and the mail shows whose word holds. `tests/options/test_resolve.py` has all combinations of layers
in the function; this has every pair through the whole way.
"""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.proxied import OBEDIENT_POLICY, read_attributes, run_proxy, send_mail

from msys_track.keys import file as key_file
from msys_track.keys.ring import KeyRing
from msys_track.service import assembly

LAYERS = ("policy", "recipient", "header", "peer", "listen", "listener", "default")
"""The highest first; `recipient` is what the header says of one recipient alone."""

BASE = {"open_tracking_enabled": True, "click_tracking_enabled": True}


class Attribute(NamedTuple):
    """One attribute: the values to tell apart, and how each kind of layer says one."""

    name: str
    values: tuple[Any, Any]
    """The default is the second."""
    configured: str | None = None
    header: str | None = None
    variable: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        words = (self.variable, *[self.header] * 2, *[self.configured] * 3, "default")
        return tuple(layer for layer, word in zip(LAYERS, words, strict=True) if word)


ATTRIBUTES = (
    Attribute("open_tracking", (True, False),
              "open_tracking_enabled", "options.open_tracking", "smtpapi_open_tracking"),
    Attribute("click_tracking", (True, False),
              "click_tracking_enabled", "options.click_tracking", "smtpapi_click_tracking"),
    Attribute("open_scheme", ("https", "http"),
              "open_tracking_scheme", None, "smtpapi_open_tracking_scheme"),
    Attribute("click_scheme", ("https", "http"),
              "click_tracking_scheme", None, "smtpapi_click_tracking_scheme"),
    Attribute("domain", ("click.example.com:8443", "localhost:8080"),
              "tracking_domain", None, "smtpapi_tracking_domain"),
    Attribute("lifetime", (86_400, 31_536_000),
              "tracking_link_expiry", None, "smtpapi_tracking_link_expiry"),
    Attribute("initial_open", (True, False),
              "initial_open_pixel_tracking", "options.initial_open"),
    Attribute("campaign", ("spring", None), None, "campaign_id", "smtpapi_campaign_id"),
    Attribute("metadata", ({"a": 1}, None), None, "metadata", "smtpapi_metadata"),
    Attribute("tags", (["x", "y"], []), None, "tags", "smtpapi_tags"),
    Attribute("customer", (1005, 1), None, None, "mo_customer_id"),
    Attribute("subaccount", (7, None), None, None, "subaccount_id"),
)  # fmt: skip

# What a lower layer says where the default says nothing that it could say too.
OTHER = {"campaign": "autumn", "metadata": {"b": 2}, "tags": ["z"]}

HTML = b"<body><p><a href='http://shop.example/?a=1&amp;b=2'>x</a></p></body>\r\n"


def cases() -> Iterator[Any]:
    for attribute in ATTRIBUTES:
        for higher, lower in combinations(attribute.layers, 2):
            first, second = attribute.values
            if lower != "default":
                second = OTHER.get(attribute.name, second)
            for above, below in ((first, second), (second, first)):
                if lower == "default" and above is second:
                    continue
                name = f"{attribute.name}: {higher} {above} over {lower} {below}"
                yield pytest.param(attribute, {higher: above, lower: below}, above, id=name)


def test_every_pair_of_layers_is_in_the_table() -> None:
    pairs = {len(attribute.layers) for attribute in ATTRIBUTES}
    assert pairs == {2, 4, 5, 6, 7}
    assert len(list(cases())) > 100


def configuration(folder: Path, attribute: Attribute, values: dict[str, Any]) -> Path:
    tables = {"listener": dict(BASE), "listen": {}, "peer": {}}
    if attribute.configured is not None:
        tables["listener"].pop(attribute.configured, None)
        for layer in tables.keys() & values.keys():
            tables[layer][attribute.configured] = values[layer]
    lines = ['keys = "keys.toml"', "[policy]", 'files = ["policy.py"]']
    headings = {
        "listener": "[listener]",
        "listen": '[listen."127.0.0.1:0"]',
        "peer": '[listen."127.0.0.1:0".peer."127.0.0.0/8"]',
    }
    for table, options in tables.items():
        lines += [headings[table], *(f"{name} = {json.dumps(options[name])}" for name in options)]
    lines += ["[proxy]", 'upstream = "127.0.0.1:1"']
    (folder / "policy.py").write_text(OBEDIENT_POLICY)
    path = folder / "msys-track.toml"
    path.write_text("\n".join(lines) + "\n")
    key_file.create(folder / "keys.toml")
    return path


def ask(attribute: Attribute, value: object) -> dict[str, Any]:
    members: Any = value
    for name in reversed((attribute.header or "").split(".")):
        members = {name: members}
    return dict(members)


def message(attribute: Attribute, values: dict[str, Any]) -> bytes:
    lines = [b"Subject: x", b"Content-Type: text/html"]
    requests: dict[str, Any] = {}
    if "header" in values:
        requests = ask(attribute, values["header"])
    if "recipient" in values:
        own = ask(attribute, values["recipient"])
        requests["x_msys_track"] = {"recipients": {"jo@Reader.example": own}}
    if requests:
        lines.append(b"X-MSYS-API: " + json.dumps(requests).encode())
    if "policy" in values:
        value = values["policy"]
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(b"X-Policy: " + json.dumps({attribute.variable: text}).encode())
    return b"\r\n".join([*lines, b"", HTML])


@pytest.mark.anyio
@pytest.mark.parametrize(("attribute", "values", "expected"), list(cases()))
async def test_the_higher_layer_s_word_shows_in_the_mail_that_arrives(
    tmp_path: Path, attribute: Attribute, values: dict[str, Any], expected: object
) -> None:
    values = {layer: value for layer, value in values.items() if layer != "default"}
    read = assembly.read_configuration(configuration(tmp_path, attribute, values), "proxy")
    async with run_proxy(assembly.make_rewriter(read), read.proxy) as (proxy, hop):
        await send_mail(proxy.port, message(attribute, values))
    (arrived,) = hop.taken
    assert b"X-MSYS-API" not in arrived.message
    found = read_attributes(arrived.message, KeyRing.load(tmp_path / "keys.toml"))
    assert found[attribute.name] == expected
