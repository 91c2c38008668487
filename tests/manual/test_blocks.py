"""Every block of the manual is run: by the tests of its page, or here, one after the other.

How a block is run here follows from the words behind its fence, as CONTRIBUTING.md says.
"""

import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from tests.manual import registry
from tests.manual.following import Follower
from tests.manual.sandbox import FOREIGN_COMMANDS, Sandbox, copy_folder, make_folder
from tests.shown import ROOT, Block, read_blocks

PAGES: Final = {
    registry.name_page(page): list(read_blocks(page)) for page in registry.list_pages()
}
_VARIABLES: Final = re.compile(r'"env:(\w+)"')


def _is_run_here(page: str, block: Block) -> bool:
    return registry.find_test(page, block) is None and registry.find_reason(page, block) is None


HERE: Final = [
    page for page, blocks in PAGES.items() if any(_is_run_here(page, each) for each in blocks)
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("manual") / "folder")


@pytest.fixture
def sandbox(made: Path, tmp_path: Path) -> Iterator[Sandbox]:
    with copy_folder(made, tmp_path / "folder") as sandbox:
        yield sandbox


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", HERE)
def test_the_blocks_of_a_page_do_what_it_shows(
    page: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sandbox.folder)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(sandbox.folder))
    for name in _VARIABLES.findall((ROOT / page).read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "secret")
    blocks = [each for each in PAGES[page] if _is_run_here(page, each)]
    _need_what_it_calls(blocks)
    reader = Follower(page, PAGES[page], sandbox)
    reader.follow(blocks)
    if reader.faults:
        pytest.fail("\n\n".join(reader.faults), pytrace=False)


def _need_what_it_calls(blocks: Sequence[Block]) -> None:
    for block in blocks:
        for command in FOREIGN_COMMANDS:
            if block.language == "sh" and re.search(rf"^{command} ", block.text, re.MULTILINE):
                FOREIGN_COMMANDS[command]()
        if "import django" in block.text and find_spec("django") is None:
            pytest.skip("django is not installed: it is in the group dev")


def test_the_tests_and_reasons_that_are_named_are_of_blocks_that_there_are() -> None:
    assert registry.list_unused() == []


@pytest.mark.parametrize("page", registry.RUN_BY)
def test_the_test_of_a_page_reads_the_page(page: str) -> None:
    names = {page, Path(page).name, Path(page).stem}
    for test in registry.RUN_BY[page]:
        text = (ROOT / test).read_text(encoding="utf-8")
        imported = re.findall(r"^from tests\.([\w.]+) import", text, re.MULTILINE)
        others = [ROOT / "tests" / f"{each.replace('.', '/')}.py" for each in imported]
        texts = [text, *(each.read_text(encoding="utf-8") for each in others if each.exists())]
        assert any(f'"{name}"' in each or f"/{name}" in each for name in names for each in texts)
