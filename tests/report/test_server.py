"""The report's own limits of connections, on a real socket."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from tests.report.visitor import make_users

from msys_track.report.app import make_app
from msys_track.report.server import ReportServer
from msys_track.report.settings import ReportSettings

pytestmark = pytest.mark.anyio


async def test_of_more_connections_than_there_is_room_for_the_newest_is_closed(
    tmp_path: Path,
) -> None:
    settings = ReportSettings(max_connections=1)  # as many again are told that it is full
    app = make_app(settings, tmp_path / "events.sqlite", (), users=make_users())
    server = ReportServer(app, settings)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.run([listening]))
    await server.wait_until_started()
    port = listening.getsockname()[1]
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    async with asyncio.timeout(30):
        with suppress(ConnectionResetError):
            assert await connections[2][0].read() == b""
        reader, writer = connections[0]
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        for _, each in connections:
            each.close()
        server.stop()
        await serving
