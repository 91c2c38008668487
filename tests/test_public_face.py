"""The face of the package is what `__all__` says: nothing leaks, nothing is missing."""

import ast
from importlib.metadata import version
from inspect import ismodule
from pathlib import Path

import msys_track


def test_the_face_is_what_all_says() -> None:
    public = {
        name
        for name, value in vars(msys_track).items()
        if not name.startswith("_") and not ismodule(value)
    }
    assert public == {name for name in msys_track.__all__ if not name.startswith("_")}


def test_all_is_sorted() -> None:
    assert list(msys_track.__all__) == sorted(msys_track.__all__)


def test_the_version_is_the_distribution_s() -> None:
    assert msys_track.__version__ == version("msys-track")


def test_the_typed_example_uses_every_public_name() -> None:
    example = ast.parse((Path(__file__).parent / "typing" / "api.py").read_text())
    used = {node.id for node in ast.walk(example) if isinstance(node, ast.Name)}
    assert set(msys_track.__all__) - used == set()
