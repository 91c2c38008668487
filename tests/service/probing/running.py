"""Servers that are probed: our own, in the loop of the test, and one that says what it should."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.certificates import Certificate
from tests.ports import find_free_ports

from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.eventlog.hits import open_hit_log
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import KeyRing
from msys_track.smtp.address import Address
from msys_track.tracking.server import serve
from msys_track.tracking.settings import TrackerSettings


def configure(folder: Path, text: str) -> Configuration:
    """Read a configuration with the keys `keys.toml`."""
    file = folder / "msys-track.toml"
    file.write_text(f'keys = "keys.toml"\n{text}', encoding="utf-8")
    return load(file)


@asynccontextmanager
async def run_tracker(settings: TrackerSettings, keys: KeyRing) -> AsyncIterator[None]:
    """Run a tracker; its log is beside its store."""
    log = open_hit_log(settings.store.with_name("log"), EventsSettings())
    running = await serve(settings, keys, log)
    try:
        yield
    finally:
        await running.close(0)
        await asyncio.to_thread(log.close, 30)


@asynccontextmanager
async def tracker(
    folder: Path, keys: KeyRing, certificate: Certificate | None = None
) -> AsyncIterator[int]:
    """Run a tracker on a port of its own, over TLS if there is a certificate."""
    plain, tls = find_free_ports(2)
    settings = TrackerSettings(
        listen_port=plain,
        listen_tls=(Address("127.0.0.1", tls),) if certificate else (),
        tls_certificate=certificate.certificate if certificate else None,
        tls_key=certificate.key if certificate else None,
        store=folder / "events.sqlite",
    )
    async with run_tracker(settings, keys):
        yield tls if certificate else plain


@asynccontextmanager
async def server(answer: bytes, port: int = 0) -> AsyncIterator[int]:
    """Answer the first client with these bytes, once it has said something."""
    has_left = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(1)
            writer.write(answer)
            writer.write_eof()
            await reader.read()
        writer.transport.abort()
        await asyncio.sleep(0)
        has_left.set()

    running = await asyncio.start_server(say, "127.0.0.1", port)
    async with running:
        yield running.sockets[0].getsockname()[1]
        await has_left.wait()
