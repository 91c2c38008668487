"""A single Kafka broker of our own (KRaft), with all it writes in one folder."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final, Self

import pytest
from tests.ports import find_free_ports

_VERSION: Final = "4.1.1"
_CLUSTER: Final = "bXN5cy10cmFjay10ZXN0cw"
_PATIENCE_SECONDS: Final = 60.0
_JAVA: Final = (
    "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
)  # fmt: skip


def find_jars() -> Path:
    """Name the folder that scripts/kafka-jars fills."""
    if named := os.environ.get("KAFKA_JARS"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "msys-track" / f"kafka-{_VERSION}"


def need_kafka() -> None:
    """Skip the test where there is no broker."""
    if shutil.which("java") is None:
        pytest.skip("java was not found; apt-get install default-jre-headless")
    if not find_jars().is_dir():
        pytest.skip("Kafka's jars were not found; scripts/kafka-jars fetches them")


class KafkaBroker:
    """A broker that can be stopped and started again with what it has stored.

    Attributes:
        address: Of clients.
    """

    def __init__(self, folder: Path, partitions: int = 3) -> None:
        self._folder = folder
        port, controller = find_free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self._properties = folder / "server.properties"
        self._properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{self.address}\n"
            "controller.listener.names=CONTROLLER\n"
            f"log.dirs={folder / 'logs'}\nnum.partitions={partitions}\n"
            "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n"
            "group.min.session.timeout.ms=1000\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._run("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c").wait()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker, and wait until it takes records."""
        self._process = self._run("kafka.Kafka")
        until = time.monotonic() + _PATIENCE_SECONDS
        output = self._folder / "output"
        begin = output.stat().st_size
        while b"Kafka Server started" not in output.read_bytes()[begin:]:
            assert self._process.poll() is None, output.read_text()
            assert time.monotonic() < until, output.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the broker as a service manager does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_SECONDS)
            self._process = None

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - found before
                [*_JAVA, "-cp", f"{find_jars()}/*", *words, str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
            )
