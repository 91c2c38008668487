"""Good configuration files, and the faults that people make in them: see `faulty/`.

A record of a `.faults` file is what is done (`#`), lines of the good file (`-`) with what becomes
of each (`+`), what is said of it (`=`), and why a JSON Schema does not see it (`?`: `unseen`, or
`no TOML` any more). A line that ends in ◄ is one on which a fault must be told.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.certificates import make_certificate
from tests.signing.conftest import make_key_pair
from tests.users import write_users

from msys_track.keys import file as keys

_FAULTY: Final = Path(__file__).parent / "faulty"
MARK: Final = "◄"


class Mutation(NamedTuple):
    """Lines, what becomes of each, and what is said of it."""

    name: str
    lines: Mapping[str, str]
    words: str
    seen: str


class Mutated(NamedTuple):
    """A faulty file and the lines that must be reported."""

    text: str
    faults: set[int]


def good(name: str) -> str:
    return (_FAULTY / name).read_text(encoding="utf-8")


def mutations(name: str) -> tuple[Mutation, ...]:
    records = (_FAULTY / f"{name}.faults").read_text(encoding="utf-8").split("\n\n")
    return tuple(map(_mutation, records))


def _mutation(record: str) -> Mutation:
    lines: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for line in record.splitlines():
        sign, text = line[0], line[2:]
        if sign == "-":
            lines[text] = []
        elif sign == "+":
            next(reversed(lines.values())).append(text)
        else:
            texts[sign] = text
    replaced = {line: "\n".join(becomes) for line, becomes in lines.items()}
    return Mutation(texts["#"], replaced, texts["="], texts.get("?", "seen"))


def mutate(text: str, chosen: Sequence[Mutation]) -> Mutated:
    """Apply mutations of different lines."""
    replaced = {line: becomes for each in chosen for line, becomes in each.lines.items()}
    assert set(replaced) <= set(text.splitlines())
    lines = "\n".join(replaced.get(line, line) for line in text.splitlines()).splitlines()
    faults = {number for number, line in enumerate(lines, start=1) if line.endswith(MARK)}
    return Mutated("".join(f"{line.removesuffix(MARK)}\n" for line in lines), faults)


def combinations(name: str, count: int, *, seed: int) -> Iterator[tuple[Mutation, ...]]:
    """Yield two or three mutations of different lines, the same ones for a seed."""
    chance = random.Random(seed)  # noqa: S311 - a test's choice
    every = mutations(name)
    seen: set[frozenset[str]] = set()
    while len(seen) < count:
        chosen = tuple(chance.sample(every, chance.choice([2, 3])))
        names = frozenset(each.name for each in chosen)
        touched = [line for each in chosen for line in each.lines]
        if len(set(touched)) == len(touched) and names not in seen:
            seen.add(names)
            yield chosen


def write_named_files(folder: Path) -> None:
    """Write what good files name: keys, users, certificates, a policy; and a broken one."""
    keys.create(folder / "keys.toml")
    keys.create(folder / "shop-keys.toml")
    write_users(folder / "users.toml")
    made = make_certificate(folder)
    made.certificate.rename(folder / "fullchain.pem")
    made.key.rename(folder / "privkey.pem")
    (folder / "ca.pem").touch()
    (folder / "redirects.txt").write_text("https://a.test/old https://a.test/new\n")
    (folder / "withdrawn.txt").write_text("a@b.test\n")
    (folder / "webhooks.json").write_text("[]")
    (folder / "policy.lua").write_text(
        'msys.registerModule("policy", { validate_connect = function() return 0 end })\n'
    )
    (folder / "broken.lua").write_text("local mod = {}\nfunction mod:x(\n")
    make_key_pair("ed25519", folder).file.rename(folder / "dkim.pem")
