from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service.running_proxy import Proxy, is_running, wait_until

from msys_track.testing.mailbox import MailServer


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with MailServer() as mailbox:
        made = Proxy(tmp_path, mailbox)
        yield made
        if hasattr(made, "server"):
            made.server.kill()
            for pid in made.workers:
                wait_until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]
