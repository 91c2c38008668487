"""Who wins, seen from outside: real files, real SMTP, and what arrives at the next hop.

For every attribute and every pair of layers that have a word on it, the two say different things
and the mail shows whose word holds. `tests/options/test_resolve.py` has all combinations of layers
in the function; this has every pair through the whole way.
"""

import asyncio
import json
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.upstreams import ScriptedUpstream

from msys_track.injection.server import serve
from msys_track.keys import ring
from msys_track.keys.ring import KeyRing
from msys_track.relay.upstream import Upstream
from msys_track.service import assembly

LAYERS = ("policy", "header", "peer", "listen", "listener", "default")
"""The highest first."""

BASE = {"open_tracking_enabled": True, "click_tracking_enabled": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute: how each kind of layer says a value, and the two values to tell apart."""

    name: str
    values: tuple[Any, Any]
    """The default is the second."""
    configured: str | None = None
    header: str | None = None
    variable: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        has_word = {
            "policy": self.variable is not None,
            "header": self.header is not None,
            "peer": self.configured is not None,
            "listen": self.configured is not None,
            "listener": self.configured is not None,
            "default": True,
        }
        return tuple(layer for layer in LAYERS if has_word[layer])


ATTRIBUTES = (
    Attribute(
        name="open_tracking",
        values=(True, False),
        configured="open_tracking_enabled",
        header="options.open_tracking",
        variable="smtpapi_open_tracking",
    ),
    Attribute(
        name="click_tracking",
        values=(True, False),
        configured="click_tracking_enabled",
        header="options.click_tracking",
        variable="smtpapi_click_tracking",
    ),
    Attribute(
        name="open_scheme",
        values=("https", "http"),
        configured="open_tracking_scheme",
        variable="smtpapi_open_tracking_scheme",
    ),
    Attribute(
        name="click_scheme",
        values=("https", "http"),
        configured="click_tracking_scheme",
        variable="smtpapi_click_tracking_scheme",
    ),
    Attribute(
        name="domain",
        values=("click.example.com:8443", "localhost:8080"),
        configured="tracking_domain",
        variable="smtpapi_tracking_domain",
    ),
    Attribute(
        name="lifetime",
        values=(86_400, 31_536_000),
        configured="tracking_link_expiry",
        variable="smtpapi_tracking_link_expiry",
    ),
    Attribute(
        name="initial_open",
        values=(True, False),
        configured="initial_open_pixel_tracking",
        header="options.initial_open",
    ),
    Attribute(
        name="campaign",
        values=("spring", None),
        header="campaign_id",
        variable="smtpapi_campaign_id",
    ),
    Attribute(
        name="metadata",
        values=({"a": 1}, None),
        header="metadata",
        variable="smtpapi_metadata",
    ),
    Attribute(name="tags", values=(["x", "y"], []), header="tags", variable="smtpapi_tags"),
    Attribute(name="customer", values=(1005, 1), variable="mo_customer_id"),
)

# What a lower layer says where the default says nothing that it could say too.
OTHER = {"campaign": "autumn", "metadata": {"b": 2}, "tags": ["z"]}

POLICY = '''
import json

def validate_data_spool_each_rcpt(transaction):
    """Set what the mail itself asks for: so one policy serves every case."""
    for text in transaction.headers.get("X-Policy"):
        for name, value in json.loads(text).items():
            transaction.contexts.message.set(name, value)
'''

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
    assert pairs == {2, 3, 5, 6}
    assert len(list(cases())) > 100


def configuration(folder: Path, attribute: Attribute, said: dict[str, Any]) -> Path:
    tables = {"listener": dict(BASE), "listen": {}, "peer": {}}
    if attribute.configured is not None:
        tables["listener"].pop(attribute.configured, None)
        for layer in tables.keys() & said.keys():
            tables[layer][attribute.configured] = said[layer]
    lines = ['keys = "keys.toml"', "[policy]", 'files = ["policy.py"]']
    headings = {
        "listener": "[listener]",
        "listen": '[listen."127.0.0.1:0"]',
        "peer": '[listen."127.0.0.1:0".peer."127.0.0.0/8"]',
    }
    for table, options in tables.items():
        lines += [headings[table], *(f"{name} = {json.dumps(options[name])}" for name in options)]
    lines += ["[proxy]", 'upstream = "127.0.0.1:1"']
    (folder / "policy.py").write_text(POLICY)
    path = folder / "msys-track.toml"
    path.write_text("\n".join(lines) + "\n")
    if not (folder / "keys.toml").exists():
        ring.create(folder / "keys.toml")
    return path


def message(attribute: Attribute, said: dict[str, Any]) -> bytes:
    lines = [b"Subject: x", b"Content-Type: text/html"]
    if "header" in said:
        asked: Any = said["header"]
        for name in reversed((attribute.header or "").split(".")):
            asked = {name: asked}
        lines.append(b"X-MSYS-API: " + json.dumps(asked).encode())
    if "policy" in said:
        text = said["policy"]
        text = text if isinstance(text, str) else json.dumps(text)
        variables = json.dumps({attribute.variable: text})
        lines.append(b"X-Policy: " + variables.encode())
    return b"\r\n".join([*lines, b"", HTML])


def seen(arrived: bytes, keys: KeyRing) -> dict[str, Any]:
    """Read off the mail that arrived what each attribute was, as far as it shows."""
    urls = re.findall(rb"(https?)://([^/\"' ]+)(/[fq]/[^\"' ]+)", arrived)
    claims = [keys.open(path.decode()) for _, _, path in urls]
    found: dict[str, Any] = {
        "open_tracking": any(each.kind == "open" for each in claims),
        "click_tracking": any(each.kind == "click" for each in claims),
        "initial_open": any(each.kind == "initial_open" for each in claims),
    }
    for (scheme, host, _), each in zip(urls, claims, strict=True):
        kind = "click" if each.kind == "click" else "open"
        engagement = each.engagement
        found |= {
            f"{kind}_scheme": scheme.decode(),
            "domain": host.decode(),
            "lifetime": engagement.expires_at - engagement.injected_at,
            "campaign": engagement.campaign_id,
            "metadata": json.loads(engagement.metadata or "null"),
            "tags": list(engagement.tags),
            "customer": engagement.customer_id,
        }
    return found


def send(port: int, mail: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("s@shop.example", ["r@reader.example"], mail)


@pytest.mark.anyio
@pytest.mark.parametrize(("attribute", "said", "expected"), list(cases()))
async def test_the_higher_layer_s_word_shows_in_the_mail_that_arrives(
    tmp_path: Path, attribute: Attribute, said: dict[str, Any], expected: object
) -> None:
    said = {layer: value for layer, value in said.items() if layer != "default"}
    read = assembly.read_configuration(configuration(tmp_path, attribute, said), "proxy")
    hop = ScriptedUpstream()
    await hop.start()
    upstream = Upstream(type(read.upstream)(port=hop.port))  # type: ignore[misc]
    assert read.proxy is not None
    proxy = await serve(read.proxy, assembly.make_rewriter(read), upstream)
    try:
        await asyncio.to_thread(send, proxy.port, message(attribute, said))
    finally:
        await proxy.close()
        await upstream.close()
        await hop.close()
    (arrived,) = hop.taken
    assert b"X-MSYS-API" not in arrived.message
    assert seen(arrived.message, KeyRing.load(tmp_path / "keys.toml"))[attribute.name] == expected
