"""Links between the documents lead somewhere: to a file that is there, to a heading in it."""

import re
from functools import cache
from pathlib import Path

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


@cache
def find_anchors(document: Path) -> set[str]:
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    return {anchor(heading) for heading in _HEADING.findall(text)}


def leads_somewhere(document: Path, target: str) -> bool:
    name, _, fragment = target.partition("#")
    file = document.parent / name if name else document
    return file.exists() and (not fragment or fragment in find_anchors(file.resolve()))


def test_every_link_of_a_document_leads_to_a_file_and_a_heading() -> None:
    assert [
        (str(document.relative_to(ROOT)), target)
        for document in DOCUMENTS
        for target in links(document)
        if not leads_somewhere(document, target)
    ] == []


# A path that begins in the project's folder, in the package's or in the core's.
_PATH = re.compile(
    r"`((?:tests|benches|docs|scripts|requirements)/[\w./-]*[\w/]"
    r"|[\w-]+/[\w./-]+\.(?:py|rs|html|json|toml|txt))`"
)
_STARTS = [ROOT, ROOT / "python/msys_track", ROOT / "rust"]


def find_named_files(document: Path) -> list[str]:
    if document.name in {"CHANGELOG.md", "ecelerity.md"}:
        return []
    return _PATH.findall(_FENCED.sub("", document.read_text(encoding="utf-8")))


def test_every_file_of_ours_that_a_document_names_is_there() -> None:
    named = [(document, path) for document in DOCUMENTS for path in find_named_files(document)]
    assert len(named) > 20
    assert [
        (str(document.relative_to(ROOT)), path)
        for document, path in named
        if not any((each / path).exists() for each in _STARTS)
    ] == []


def test_there_are_links_to_be_tried() -> None:
    assert sum(len(links(document)) for document in DOCUMENTS) > 20
