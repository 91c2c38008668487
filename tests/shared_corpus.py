"""The corpus that stands beside a checkout: real mails under licences of their own.

It is no part of the project, so what needs it is skipped where it is missing.
"""

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "corpus"

needs_corpus = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"the mail corpus is not at ../shared/corpus ({FOLDER.name})"
)


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shared_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def messages() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each real message."""
    yield from _items("messages")


def templates() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each real HTML document."""
    yield from _items("templates")


def hostile() -> Iterator[tuple[str, bytes, str]]:
    """Name, bytes and kind (`html` or `message`) of each handmade hostile input."""
    yield from _hostile_cases()


@cache  # reading all of it takes as long as most of its tests
def _items(kind: str) -> tuple[tuple[str, bytes], ...]:
    return tuple(_module("corpus").items(kind))


@cache
def _hostile_cases() -> tuple[tuple[str, bytes, str], ...]:
    return tuple(_module("hostile").cases())
