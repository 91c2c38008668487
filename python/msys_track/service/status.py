"""What is answered about a server's workers: their figures, and whether they are well."""

import json
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from msys_track import logs
from msys_track.metrics import Figures, write_exposition
from msys_track.service.status_server import Answer
from msys_track.service.worker import Worker

# Workers report each second.
_ALIVE_SECONDS: Final = 5.0


def answer_status(
    path: str, own: Sequence[Worker], workers: Iterable[Worker], past: Figures
) -> Answer | None:
    """Answer a question; None where the path asks none.

    Args:
        path: Of the URL.
        own: The workers that are to stay.
        workers: All that there are.
        past: What workers that are over have counted.
    """
    now = time.monotonic()
    alive = [each for each in own if each.is_ready and now - each.heard_at < _ALIVE_SECONDS]
    match path:
        case "/metrics":
            text = write_exposition(_sum_figures(alive, workers, past))
            return Answer(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")
        case "/figures":
            figures = _sum_figures(alive, workers, past).as_json()
            figures["workers"] = [_describe(each, now) for each in workers]
            return Answer(HTTPStatus.OK, json.dumps(figures) + "\n", "application/json")
        case "/healthz" | "/readyz" if not alive:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "no worker shows signs of life\n")
        case "/readyz" if not any(each.figures.gauges.get("ready") for each in alive):
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "no upstream can be reached\n")
        case "/healthz" | "/readyz":
            return Answer(HTTPStatus.OK, "ok\n")
    return None


def _sum_figures(alive: Sequence[Worker], workers: Iterable[Worker], past: Figures) -> Figures:
    total = Figures()
    total.add(past)
    total.add(Figures(counters={"log.dropped": logs.count_dropped_lines()}))
    for worker in workers:
        total.add(worker.figures)
    total.gauges["workers"] = len(alive)
    return total


def _describe(worker: Worker, now: float) -> dict[str, Any]:
    state = "ending" if worker.ends_by else "ready" if worker.is_ready else "starting"
    return {
        "pid": worker.pid,
        "state": state,
        "seconds": round(now - worker.started_at, 1),
        "accepted": worker.figures.counters.get("messages.accepted", 0),
        "sessions": worker.figures.gauges.get("sessions", 0),
    }
