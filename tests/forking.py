"""Processes that run functions of the tests, forked off one that has imported what they need.

Importing is most of what a short process does. For the processes of `msys-track` itself there is
`nursery.py`.
"""

import multiprocessing
from typing import Final

FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["tests.spool.conftest", "tests.sinks.webhook.conftest", "msys_track.spool.spool"]
)
