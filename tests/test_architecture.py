"""The direction of imports in the Rust core, which no linter of ours reads.

For Python `lint-imports` proves the same from pyproject.toml; here the page shows those layers.
"""

import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from tests.shown import Block, read_blocks

ROOT = Path(__file__).resolve().parents[1]
RUST = ROOT / "rust"
LAYERS = (
    {"python", "fuzzing"},
    {"recipe", "stream", "http"},
    {"tracked", "log"},
    {"plan", "token"},
    {"html", "mime", "text", "smtp", "toml", "pcre"},
    {"link"},
    {"charset", "edit"},
    {"reason", "names"},
)
"""A room knows only rooms in later layers; those in one layer are strangers."""

_PATHS = re.compile(r"\bcrate::(\{[^;]*|\w+)")


def sources() -> list[Path]:
    return sorted(RUST.rglob("*.rs"))


def room(source: Path) -> str:
    return (
        source.relative_to(RUST)
        .parts[0]
        .removesuffix(".rs")
        .removesuffix("_tests")
        .removesuffix("_laws")
    )


def code(source: Path) -> str:
    """Return the code without comments, in which a link to a room above is not an import."""
    return re.sub(r"//.*", "", source.read_text())


def find_rooms(source: Path) -> set[str]:
    """Name the rooms that a source reaches for, tests' own needs included."""
    words = {word for path in _PATHS.findall(code(source)) for word in re.findall(r"\w+", path)}
    return words & set().union(*LAYERS)


def test_every_room_of_the_core_has_a_layer() -> None:
    rooms = {room(source) for source in sources()} - {"lib"}
    assert rooms - set().union(*LAYERS) == set()


def find_rooms_not_below(source: Path) -> set[str]:
    """Name the rooms that a source reaches for and that stand above its own or beside it."""
    above: set[str] = set()
    for layer in LAYERS:
        above |= layer
        if room(source) in layer:
            break
    return find_rooms(source) & above - {room(source)}


def test_a_room_of_the_core_knows_only_rooms_below_it() -> None:
    found = {str(source.relative_to(RUST)): find_rooms_not_below(source) for source in sources()}
    assert {source: rooms for source, rooms in found.items() if rooms} == {}


def test_only_the_glue_knows_python() -> None:
    assert {room(source) for source in sources() if "pyo3" in code(source)} <= {"python"}


def neighbours(source: Path) -> set[str]:
    """Name the modules of the same folder that a module reaches for."""
    siblings = {each.stem for each in source.parent.glob("*.rs")} - {"mod", source.stem}
    words = re.findall(r"\bsuper::(\{[^;]*|\w+)", code(source))
    return {word for path in words for word in re.findall(r"\w+", path)} & siblings


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in sources()}), ids=lambda p: p.name
)
def test_no_circle_leads_through_the_modules_of_a_folder(folder: Path) -> None:
    modules = [path for path in folder.glob("*.rs") if "test" not in path.stem]
    TopologicalSorter({path.stem: neighbours(path) for path in modules}).prepare()


def read_contracts() -> dict[str, dict[str, list[str]]]:
    """Read what `lint-imports` proves, by the contracts' ids."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {each["id"]: each for each in pyproject["tool"]["importlinter"]["contracts"]}


def test_no_room_but_the_commands_is_left_out_of_the_contract_on_logs() -> None:
    # The contract on layers has to name every room; this one would pass without those it forgets.
    contracts = read_contracts()
    rooms = {
        f"msys_track.{word}" for each in contracts["rooms"]["layers"] for word in each.split(" | ")
    }
    assert set(contracts["logs"]["source_modules"]) == rooms - {"msys_track.cli"}


def test_the_page_shows_the_layers_of_the_contract() -> None:
    rooms = read_contracts()["rooms"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    _, _, table = page.partition("| layer, from the top |")
    rows = re.findall(r"^\| (`.*?) \| [^`]", table.partition("\n\n")[0], re.MULTILINE)
    layers = [re.findall(r"\w+", layer) for layer in rooms["layers"]]
    apart = {"metrics", "reasons", "logs", "databases", "private_files", "extras", "errors"}
    rooms_only = [layer for layer in layers if not set(layer) <= apart]
    files = [name for layer in layers for name in layer if name in apart]
    shown = [re.findall(r"`(\w+)`", row) for row in rows]
    assert shown == [*rooms_only, files]


@pytest.mark.parametrize(
    "block",
    [each for each in read_blocks("architecture.md") if each.role.startswith("folder ")],
    ids=lambda block: block.role,
)
def test_what_the_page_lists_of_a_folder_is_there(block: Block) -> None:
    folder = ROOT / block.role.removeprefix("folder ")
    shown = {line.split()[0] for line in block.text.splitlines()}
    assert shown == {name for name in shown if (folder / name).exists()}
    # Tests beside the code, and what only says which files there are, have no line.
    files = {each.name for each in folder.iterdir() if each.suffix in {".py", ".rs"}}
    hidden = {name for name in files if "test" in name or "laws" in name}
    assert files - hidden - {"__init__.py", "lib.rs"} <= shown
