"""The reference of the Python API, made from signatures and docstrings so that both agree.

`python -m scripts.manual.api` prints docs/reference/api.md; a test compares. The source is read
and not imported, so that a type is written here as it is there.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Final

import griffe

ROOT: Final = Path(__file__).parents[2]
_WIDTH: Final = 88
_ALL: Final = frozenset(griffe.DocstringSectionKind)
_DETAILS: Final = _ALL - {griffe.DocstringSectionKind.text}

_ROOMS: Final[Mapping[str, Sequence[str]]] = {
    "Rewrite mail": (
        "rewrite", "rewrite_all", "rewrite_html", "rewrite_text", "open_page", "Rewriter",
        "Message", "HtmlRewriter", "RewriteArguments", "EngagementArguments", "MessageSource",
    ),
    "Say what is tracked": (
        "TrackingOptions", "Rules", "ApiHeader", "Mailbox", "OnLink", "LinkChange",
    ),
    "What was done": (
        "Copy", "Reader", "Resolved", "Origin", "IgnoredVariable", "Reason",
    ),
    "Keys and links": (
        "KeyRing", "KeySource", "NamedSource", "open_link", "Claims", "Engagement", "TrackedUrls",
    ),
    "Events": (
        "Event", "EventType", "LinkPosition", "Verdict", "ReaderClass", "Finding",
    ),
    "Errors": (
        "TrackingError", "SettingsError", "KeyRingError", "InvalidTokenError", "MessageError",
        "RecipientError", "HeaderRefusedError", "RewriteError", "UpstreamError", "SinkError",
    ),
    "An engine of your own": (
        "Engine", "Plan", "Rendered", "Link", "LeftAlone", "Part", "HeaderField",
    ),
}  # fmt: skip
_DOUBLES: Final = (
    "sink",
    "mailbox",
    "sender",
    "mail_reader",
    "browser",
    "href",
    "tag",
    "fidelity",
)

_INTRODUCTION: Final = """\
# Python API

Made from signatures and docstrings by `python -m scripts.manual.api`; change it there. Every name
of the first part is imported from `msys_track`; [the library](../library.md) shows how they are
used together.
"""
_TESTING: Final = """\
## `msys_track.testing`

Doubles for tests of programs that send mail: a mail server, a sender, a reader of mail, a browser.
Each name is imported from the module that its heading names.
"""


class UnplacedNameError(Exception):
    """A public name has no place on the page; the text names it."""


def write_markdown() -> str:
    """Write all public names, by what they are for, as one Markdown page.

    Raises:
        UnplacedNameError: `__all__` has a name that `_ROOMS` has not, or the other way round.
    """
    package = _read_package()
    placed = [name for names in _ROOMS.values() for name in names]
    public = {str(name) for name in package.exports or ()} - {"__version__"}
    if unplaced := public.symmetric_difference(placed):
        raise UnplacedNameError(f"scripts/manual/api.py: _ROOMS: {', '.join(sorted(unplaced))}")
    pieces = [_INTRODUCTION]
    for room, names in _ROOMS.items():
        pieces.append(f"## {room}\n")
        for name in names:
            pieces += _write_object(package[name], name, "###", public)
    pieces.append(_TESTING)
    for name in _DOUBLES:
        module = package[f"testing.{name}"]
        pieces.append(f"### `msys_track.testing.{name}`\n")
        pieces += _write_text(module)
        for each in module.members.values():
            if not each.name.startswith("_") and not each.is_alias and not each.is_attribute:
                pieces += _write_object(each, each.name, "####", set(module.members))
    return "\n".join(pieces)


@cache
def _read_package() -> griffe.Object | griffe.Alias:
    return griffe.load(
        "msys_track",
        search_paths=[ROOT / "python"],
        docstring_parser="google",
        docstring_options={"warnings": False},
    )


def _write_object(
    found: griffe.Object | griffe.Alias, name: str, level: str, public: AbstractSet[str]
) -> Iterator[str]:
    target = found.final_target if isinstance(found, griffe.Alias) else found
    yield f"{level} `{name}`\n"
    if isinstance(target, griffe.Class):
        yield from _write_class(target, name, level, public)
    elif isinstance(target, griffe.Function):
        yield _write_code(_write_signature(target, f"def {name}"))
        yield from _write_text(target)
    elif isinstance(target, griffe.Attribute):
        yield _write_code(f"{name} = {target.value}")
        yield from _write_text(target)


def _write_class(
    found: griffe.Class, name: str, level: str, public: AbstractSet[str]
) -> Iterator[str]:
    bases = list(dict.fromkeys(_find_bases(found, public)))
    head = f"class {name}({', '.join(bases)})" if bases else f"class {name}"
    made = found.members.get("__init__")
    # That of a dataclass takes its fields, which are listed anyway.
    if isinstance(made, griffe.Function) and "dataclass" not in found.labels and not bases:
        head = _write_signature(made, head).removesuffix(" -> None")
    yield _write_code(head)
    yield from _write_text(found, {griffe.DocstringSectionKind.text})
    members = {**found.inherited_members, **found.members}
    fields = list(_write_fields(found, members))
    if fields:
        yield "\n".join(fields) + "\n"
    yield from _write_text(found, _DETAILS)
    for each in found.members.values():
        if isinstance(each, griffe.Function) and not each.name.startswith("_"):
            yield f"{level}# `{name}.{each.name}`\n"
            start = "async def" if "async" in each.labels else "def"
            marks = [
                f"@{label}\n" for label in ("classmethod", "staticmethod") if label in each.labels
            ]
            yield _write_code("".join(marks) + _write_signature(each, f"{start} {each.name}"))
            yield from _write_text(each)


def _write_fields(
    found: griffe.Class, members: Mapping[str, griffe.Object | griffe.Alias]
) -> Iterator[str]:
    """Write a line for each attribute and property; what a section of the docstring says first."""
    said = {
        item.name: item.description
        for section in _read_sections(found)
        if section.kind is griffe.DocstringSectionKind.attributes
        for item in section.value
    }
    for name, member in members.items():
        target = member.final_target if isinstance(member, griffe.Alias) else member
        if not isinstance(target, griffe.Attribute) or name.startswith("_"):
            continue
        if str(target.value).startswith("(") and "StrEnum" in map(str, found.bases):
            continue  # a reason has its meaning as well: docs/reasons.md
        kind, text = _read_annotation(target)
        text = said.get(name) or _read_first_text(target) or text
        value = _read_value(target)
        what = f"`{name}{f': {kind}' if kind else ''}{f' = {value}' if value else ''}`"
        yield f"- {what}: {_join(text)}" if text else f"- {what}"


def _read_value(attribute: griffe.Attribute) -> str:
    """Read a default, or a member's value, where it says something."""
    value = str(attribute.value) if attribute.value is not None else ""
    is_said = "property" in attribute.labels or value == attribute.name
    return "" if is_said or value.startswith("field(") or len(value) > _WIDTH // 2 else value


def _find_bases(found: griffe.Class, public: AbstractSet[str]) -> Iterator[str]:
    """Find the nearest bases that a reader can know: public ones, and those of others."""
    ours = [each for each in found.resolved_bases if isinstance(each, griffe.Class)]
    for base in ours:
        yield from [base.name] if base.name in public else _find_bases(base, public)
    names = {base.name for base in ours}
    yield from (str(base) for base in found.bases if str(base).partition("[")[0] not in names)


def _read_annotation(attribute: griffe.Attribute) -> tuple[str, str]:
    """Read a type, and the text of an option's `Key`, which stands in its annotation."""
    annotation = str(attribute.annotation) if attribute.annotation is not None else ""
    if not annotation.startswith("Annotated["):
        return annotation, ""
    parsed = ast.parse(annotation, mode="eval").body
    assert isinstance(parsed, ast.Subscript)  # noqa: S101 - it begins so
    assert isinstance(parsed.slice, ast.Tuple)  # noqa: S101 - the grammar of Annotated
    kind, *marks = parsed.slice.elts
    texts = [
        each.value
        for mark in marks
        for each in ast.walk(mark)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    return ast.unparse(kind), texts[0] if texts else ""


def _write_text(
    found: griffe.Object, wanted: AbstractSet[griffe.DocstringSectionKind] = _ALL
) -> Iterator[str]:
    """Write a docstring's text, its parameters and errors; attributes are written with fields."""
    kinds = griffe.DocstringSectionKind
    for section in _read_sections(found):
        if section.kind not in wanted:
            continue
        if section.kind is kinds.text:
            yield f"{section.value}\n"
        elif section.kind is kinds.parameters:
            yield "Takes:\n"
            yield "\n".join(
                f"- `{item.name}`: {_join(item.description)}" for item in section.value
            )
            yield ""
        elif section.kind is kinds.raises:
            yield "Raises:\n"
            yield "\n".join(
                f"- `{item.annotation}`: {_join(item.description)}" for item in section.value
            )
            yield ""
        elif section.kind in {kinds.returns, kinds.yields}:
            for item in section.value:
                yield f"Returns: {_join(item.description)}\n"
        elif section.kind is kinds.admonition:
            yield f"{section.title or section.value.annotation}:\n\n{section.value.description}\n"


def _read_sections(found: griffe.Object) -> Sequence[griffe.DocstringSection]:
    return found.docstring.parsed if found.docstring is not None else ()


def _read_first_text(found: griffe.Object) -> str:
    return found.docstring.value.strip().partition("\n\n")[0] if found.docstring else ""


def _write_signature(function: griffe.Function, start: str) -> str:
    """Write a signature on one line, or a parameter a line where it is too long."""
    pieces = list(_list_parameters(function))
    end = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{start}({', '.join(pieces)}){end}"
    if len(line) <= _WIDTH:
        return line
    rows = "".join(f"    {piece},\n" for piece in pieces)
    return f"{start}(\n{rows}){end}"


def _list_parameters(function: griffe.Function) -> Iterator[str]:
    kinds = griffe.ParameterKind
    marks = {kinds.var_positional: "*", kinds.var_keyword: "**"}
    parameters = [each for each in function.parameters if each.name not in {"self", "cls"}]
    has_star = False
    for index, each in enumerate(parameters):
        if each.kind is kinds.keyword_only and not has_star:
            yield "*"
        has_star |= each.kind in {kinds.keyword_only, kinds.var_positional}
        kind = f": {each.annotation}" if each.annotation is not None else ""
        is_optional = each.default is not None and each.kind not in marks
        equals = (" = " if kind else "=") if is_optional else ""
        default = f"{equals}{each.default}" if is_optional else ""
        yield f"{marks.get(each.kind, '')}{each.name}{kind}{default}"
        following = parameters[index + 1].kind if index + 1 < len(parameters) else None
        if each.kind is kinds.positional_only and following is not kinds.positional_only:
            yield "/"


def _write_code(text: str) -> str:
    # `py`, not `python`: what is only declared can't be run.
    return f"```py\n{text}\n```\n"


def _join(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(write_markdown())
