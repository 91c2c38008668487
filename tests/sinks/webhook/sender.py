"""A process that delivers a log to a webhook until it is killed; called with folder and URL."""

import asyncio
import sys
from pathlib import Path

from tests.sinks.webhook.conftest import make_delivery, make_settings


def main() -> None:
    folder, url = sys.argv[1:]
    asyncio.run(make_delivery(Path(folder), make_settings(url, max_events=100)).run())


if __name__ == "__main__":
    main()
