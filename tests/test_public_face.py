"""The face of the package is what `__all__` says: nothing leaks, nothing is missing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import msys_track

ENGINES_KEYS = (("KeyRing", "core"), ("KeyRing", "plain"))
SERVER_LIBRARIES = ("aiosmtpd", "asyncio", "click", "httptools", "rich", "sqlite3", "uvloop")


def test_the_face_is_what_all_says() -> None:
    tree = ast.parse(Path(msys_track.__file__).read_text(encoding="utf-8"))
    block = next(each for each in tree.body if isinstance(each, ast.If))  # if TYPE_CHECKING
    imported = {
        alias.name: each.module
        for each in block.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    # What type checkers see is what programs get.
    assert imported == vars(msys_track)["_MODULES"]
    assert imported.keys() == {name for name in msys_track.__all__ if not name.startswith("_")}
    assert set(msys_track.__all__) <= set(dir(msys_track))


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="'msys_track' has no attribute 'rewrites'"):
        msys_track.rewrites  # type: ignore[attr-defined]  # noqa: B018


def test_all_is_sorted() -> None:
    assert list(msys_track.__all__) == sorted(msys_track.__all__)


def test_the_version_is_the_distribution_s() -> None:
    assert msys_track.__version__ == version("msys-track")


def test_the_typed_example_uses_every_public_name() -> None:
    example = ast.parse((Path(__file__).parent / "typing" / "api.py").read_text())
    used = {node.id for node in ast.walk(example) if isinstance(node, ast.Name)}
    assert set(msys_track.__all__) - used == set()


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of ours that a type hint names, at any depth."""
    if isinstance(hint, list):  # the parameters of a Callable
        for each in hint:
            yield from classes_in(each)
        return
    for each in (hint, get_origin(hint)):
        if isclass(each) and each.__module__.startswith("msys_track"):
            yield each
    for each in get_args(hint):
        yield from classes_in(each)


def hints(value: Any) -> Iterator[tuple[str, Any]]:
    """What a function's signature names; of a class, its fields and its methods."""
    if isfunction(value):
        yield from get_type_hints(value).items()
    elif isclass(value) and value.__module__.startswith("msys_track"):
        yield from get_type_hints(value).items()
        for base in value.__mro__[:-1]:
            for name, member in vars(base).items():
                function = member.fget if isinstance(member, property) else member
                function = getattr(function, "__func__", function)
                if isfunction(function) and (name == "__init__" or not name.startswith("_")):
                    yield from get_type_hints(function).items()


@pytest.mark.parametrize("name", [each for each in msys_track.__all__ if each != "__version__"])
def test_every_name_that_a_public_signature_hands_out_is_public(name: str) -> None:
    public = [getattr(msys_track, each) for each in msys_track.__all__]
    for parameter, hint in hints(getattr(msys_track, name)):
        # The keys as engines have them: no program calls these.
        if parameter.startswith("_") or (name, parameter) in ENGINES_KEYS:
            continue
        for each in classes_in(hint):
            assert each in public, f"{name}: {parameter}: {each.__module__}.{each.__qualname__}"


def test_aliases_name_public_classes_only() -> None:
    public = [getattr(msys_track, each) for each in msys_track.__all__]
    aliases = ("OnLink", "MessageSource", "KeySource", "HeaderField")
    found = {each for name in aliases for each in classes_in(getattr(msys_track, name))}
    assert {each.__name__ for each in found} == {"Link", "LinkChange", "NamedSource"}
    assert all(each in public for each in found)


@pytest.mark.skipif("coverage" in sys.modules, reason="coverage loads libraries of its own")
@pytest.mark.parametrize(
    "program",
    [
        "from msys_track import *",
        "import msys_track.tracking.asgi",
    ],
)
def test_the_library_is_imported_without_the_servers_libraries(program: str) -> None:
    loaded = run_python(f"import sys; {program}; print(*sys.modules)").split()
    assert "msys_track._core" in loaded
    assert set(SERVER_LIBRARIES).isdisjoint(loaded)


def run_python(program: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout
