"""Revising: a plan whose links are not all what their sender made of them."""

from collections.abc import Mapping
from dataclasses import replace

from msys_track.reasons import Reason
from msys_track.rewriting.reference.links import check_target, cut_name, read_target
from msys_track.rewriting.reference.placing import find_next_folds
from msys_track.rewriting.reference.plan import Edit, Href, Kept, LeftAlone, Link, PlannedMessage


def revise_links(
    planned: PlannedMessage, changes: Mapping[int, tuple[str, str | None] | None]
) -> PlannedMessage:
    """Give links, by their numbers, another target and name, or veto them.

    Raises:
        ValueError: there is no such link, or a target can't be wrapped.
    """
    count = len(planned.links)
    for number in changes:
        if not 0 <= number < count:
            raise ValueError(f"there is no link {number}: the plan has {count}")
    links: list[Link] = []
    left = list(planned.left_alone)
    numbers: dict[int, int] = {}
    for number, link in enumerate(planned.links):
        change = changes.get(number)
        if number in changes and change is None:
            vetoed = Reason.VETOED.value
            left.append(
                LeftAlone(
                    offset=link.offset, length=link.length, reason=vetoed, target=link.target
                )
            )
            continue
        numbers[number] = len(links)
        links.append(link if change is None else _revise_link(number, link, *change))
    parts = tuple(
        replace(
            part, edits=tuple(find_next_folds([_renumber(edit, numbers) for edit in part.edits]))
        )
        for part in planned.planned
    )
    return replace(
        planned,
        links=tuple(links),
        left_alone=tuple(sorted(left, key=lambda each: each.offset)),
        planned=parts,
    )


def _revise_link(number: int, link: Link, wanted: str, name: str | None) -> Link:
    target = read_target(wanted)
    if check_target(target) is not None:
        raise ValueError(f'link {number}: "{wanted}" is not an http or https URL with a host')
    own_name = None if name is None else cut_name(name) or None
    return replace(link, target=target, name=own_name)


def _renumber(edit: Edit, numbers: Mapping[int, int]) -> Edit:
    if not isinstance(edit.change, Href):
        return edit
    number = numbers.get(edit.change.number)
    if number is None:
        return replace(edit, change=Kept(), fold=None, to_next_fold=None)
    return replace(edit, change=replace(edit.change, number=number), to_next_fold=None)
