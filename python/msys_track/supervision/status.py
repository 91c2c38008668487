"""What is answered about a server's workers: their figures, and whether they are well."""

import json
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from msys_track import logs
from msys_track.metrics import Figures, write_exposition
from msys_track.supervision.status_server import Answer
from msys_track.supervision.worker import Plan, Worker

# Workers report each second.
_ALIVE_SECONDS: Final = 5.0


def answer_status(
    path: str, plan: Plan, own: Sequence[Worker], workers: Iterable[Worker], past: Figures
) -> Answer | None:
    """Answer a question; None where the path asks none.

    Args:
        path: Of the URL.
        plan: What the workers do.
        own: The workers that are to stay.
        workers: All that there are.
        past: What workers that are over have counted.
    """
    heard = [each for each in own if each.is_ready and each.is_heard(_ALIVE_SECONDS)]
    alive = [each for each in heard if not each.is_recorder]
    match path:
        case "/metrics":
            figures = _sum_figures(heard, workers, past)
            text = write_exposition(figures, plan.catalogue)
            return Answer(HTTPStatus.OK, text, "text/plain; version=0.0.4; charset=utf-8")
        case "/figures":
            shown = _sum_figures(heard, workers, past).as_json()
            shown["workers"] = [_describe(each) for each in workers]
            return Answer(HTTPStatus.OK, json.dumps(shown) + "\n", "application/json")
        case "/healthz" | "/readyz" if not alive:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "no worker shows signs of life\n")
        case "/readyz" if not any(each.figures.gauges.get("ready") for each in alive):
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{plan.why_unready}\n")
        case "/healthz" | "/readyz":
            return Answer(HTTPStatus.OK, "ok\n")
    return None


def _sum_figures(heard: Sequence[Worker], workers: Iterable[Worker], past: Figures) -> Figures:
    total = Figures()
    total.add(past)
    total.add(Figures(counters={"log.dropped": logs.count_dropped_lines()}))
    for worker in workers:
        total.add(worker.figures)
    recorders = sum(each.is_recorder for each in heard)
    total.gauges |= {"workers": len(heard) - recorders, "recorders": recorders}
    return total


def _describe(worker: Worker) -> dict[str, Any]:
    state = "ending" if worker.ends_by else "ready" if worker.is_ready else "starting"
    return {
        "pid": worker.pid,
        "role": "recorder" if worker.is_recorder else "worker",
        "state": state,
        "seconds": round(time.monotonic() - worker.started_at, 1),
        "accepted": worker.figures.counters.get("messages.accepted", 0),
        "sessions": worker.figures.gauges.get("sessions", 0),
    }
