"""A RabbitMQ broker of our own: Debian's, on free ports, with all it writes in one folder."""

import asyncio
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import aio_pika
import pytest
from tests.certificates import Certificate, make_certificate
from tests.ports import find_free_ports

# Not the one on PATH, which changes the user and shares the system's folders.
_SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PATIENCE_SECONDS: Final = 60.0


def need_rabbitmq() -> None:
    """Skip the test where there is no broker."""
    if not _SERVER.exists() or shutil.which("epmd") is None:
        pytest.skip("rabbitmq-server was not found; apt-get install rabbitmq-server")


class Broker:
    """A node that can be stopped and started again with what it has stored.

    Attributes:
        port: For AMQP.
        tls_port: For AMQP over TLS.
        certificate: What it shows there; its own authority.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self.tls_port, self._epmd_port, self._dist_port = find_free_ports(4)
        self.certificate: Certificate = make_certificate(folder)
        self._configuration = folder / "rabbitmq.conf"
        self._configuration.write_text(
            f"listeners.tcp.default = {self.port}\n"
            f"listeners.ssl.default = {self.tls_port}\n"
            f"ssl_options.certfile = {self.certificate.certificate}\n"
            f"ssl_options.keyfile = {self.certificate.key}\n"
            "ssl_options.verify = verify_none\n"
            "disk_free_limit.absolute = 1MB\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
        )
        (folder / "enabled_plugins").write_text("[].\n")
        self._epmd: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._epmd = subprocess.Popen(  # noqa: S603 - found before
            ["epmd", "-port", str(self._epmd_port)],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the node, and wait until clients can log in."""
        folder = self._folder
        variables = {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self._configuration),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_NODENAME": f"msys-track-{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        with (folder / "output").open("ab") as output:
            self._node = subprocess.Popen(  # noqa: S603 - Debian's
                [_SERVER],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | variables,
                cwd=folder,
            )
        asyncio.run(self._wait())

    def stop(self) -> None:
        """Stop the node as a service manager does."""
        if self._node is not None:
            self._node.terminate()
            self._node.wait(_PATIENCE_SECONDS)
            self._node = None

    async def _wait(self) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            assert self._node is not None
            assert self._node.poll() is None, (self._folder / "output").read_text()
            with suppress(OSError, aio_pika.exceptions.AMQPError):
                await (await aio_pika.connect(self.url)).close()
                return
            await asyncio.sleep(0.2)
        raise AssertionError((self._folder / "output").read_text())
