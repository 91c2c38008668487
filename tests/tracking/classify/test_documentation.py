"""`docs/classification.md` has a line for each rule and class, and files that can be read."""

import re
from pathlib import Path

from msys_track.events import ReaderClass
from msys_track.tracking.classify.networks import Networks
from msys_track.tracking.classify.rules import EFFECTS

PAGE = (Path(__file__).parents[3] / "docs" / "classification.md").read_text(encoding="utf-8")


def test_the_page_has_every_rule_in_its_order() -> None:
    rows = [
        f"| `{rule}` | `{effect.reader_class}`{', weak' if effect.is_weak else ''} "
        f"| {effect.text} |\n"
        for rule, effect in EFFECTS.items()
    ]
    table = "| rule | class | when |\n| --- | --- | --- |\n" + "".join(rows)
    assert table in PAGE, table


def test_the_page_has_every_class() -> None:
    section = PAGE.partition("\n## ")[0]
    assert re.findall(r"(?m)^\| `(\w+)` \|", section) == list(ReaderClass)


def test_the_example_of_networks_can_be_read(tmp_path: Path) -> None:
    found = re.search(r"```text networks\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    path = tmp_path / "networks.txt"
    path.write_text(found[1])
    place = Networks((path,)).look_up("198.51.100.7")
    assert place.network is not None
    assert place.network.name == "our own monitoring"
