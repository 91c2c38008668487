"""An event of each type that knows everything: the examples of `docs/events.md`, varied."""

import json
import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")

EXAMPLES: dict[str, Any] = {
    name: json.loads(text)
    for name, text in re.findall(r"^```json (\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
}


def _vary(example: str, **fields: str) -> dict[str, Any]:
    return {"msys": {"track_event": EXAMPLES[example]["msys"]["track_event"] | fields}}


GOLDEN = {
    **EXAMPLES,
    "amp_click": _vary(
        "click",
        type="amp_click",
        target_link_url="https://shop.test/",
        target_link_name="Raw URL",
    ),
    **{
        kind: _vary("open", type=kind) for kind in ("initial_open", "amp_open", "amp_initial_open")
    },
}
