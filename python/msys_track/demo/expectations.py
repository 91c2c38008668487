"""What must be true, and what was found: the demo's exit code is made of nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One fact, stated before it was looked for."""

    about: str
    """The mail or the part of the tour."""
    what: str
    expected: object
    found: object

    @property
    def held(self) -> bool:
        """Whether it was as expected."""
        return self.expected == self.found


class Section:
    """The expectations about one mail, or one part of the tour."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.expectations: list[Expectation] = []

    def expect(self, what: str, *, expected: object, found: object) -> bool:
        """Note an expectation; return whether it held."""
        expectation = Expectation(about=self.about, what=what, expected=expected, found=found)
        self.expectations.append(expectation)
        return expectation.held

    @property
    def held(self) -> int:
        """How many were as expected."""
        return sum(each.held for each in self.expectations)


class Ledger:
    """All expectations of a run."""

    def __init__(self) -> None:
        self.sections: list[Section] = []

    def section(self, about: str) -> Section:
        """Begin another part."""
        section = Section(about)
        self.sections.append(section)
        return section

    @property
    def total(self) -> int:
        """How many expectations there were."""
        return sum(len(each.expectations) for each in self.sections)

    def failed(self) -> Iterator[Expectation]:
        """Those that did not hold, in the order they were looked at."""
        for section in self.sections:
            yield from (each for each in section.expectations if not each.held)
