"""Links between the documents lead somewhere: to a file that is there, to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benches/**/*.md")])

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
# A page that the code host makes beside the files, relative to a file on the main branch.
_OF_THE_HOST = "../../actions/"
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """A heading's anchor as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(document: Path) -> list[str]:
    """Targets within the project."""
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    return [
        target
        for target in _LINK.findall(text)
        if "://" not in target and not target.startswith(_OF_THE_HOST)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    for target in links(document):
        name, _, fragment = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        if fragment:
            text = _FENCED.sub("", file.read_text(encoding="utf-8"))
            assert fragment in {anchor(heading) for heading in _HEADING.findall(text)}, target


# A path that begins in the project's folder, in the package's or in the core's.
_PATH = re.compile(
    r"`((?:tests|benches|docs|scripts|requirements)/[\w./-]*[\w/]"
    r"|[\w-]+/[\w./-]+\.(?:py|rs|html|json|toml|txt))`"
)
_STARTS = [ROOT, ROOT / "python/msys_track", ROOT / "rust"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_ours_that_a_document_names_is_there(document: Path) -> None:
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    named = _PATH.findall(text) if document.name not in {"CHANGELOG.md", "ecelerity.md"} else []
    missing = [path for path in named if not any((each / path).exists() for each in _STARTS)]
    assert missing == []


def test_there_are_links_to_be_tried() -> None:
    assert sum(len(links(document)) for document in DOCUMENTS) > 20
