"""Reading: the links of a part, each with what speaks against wrapping it whatever the rules."""

from collections.abc import Collection
from dataclasses import dataclass

from msys_track.reasons import Reason
from msys_track.rewriting.reference.body import Body
from msys_track.rewriting.reference.charsets.query import encode_query
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundLink
from msys_track.rewriting.reference.links import (
    OWN_ATTRIBUTES,
    LinkOptions,
    check_target,
    is_foreign_opt_out,
    lower_ascii,
    read_target,
)
from msys_track.rewriting.reference.plan import LinkWhere
from msys_track.rewriting.reference.text import FoundText, scan_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLink:
    """A link before the rules of the configuration. Offsets are bytes into the part's content."""

    place: tuple[int, int] | None
    """Start and end of its URL; None where it ends inside a shift."""
    target: str
    options: LinkOptions
    where: LinkWhere
    reason: Reason | None
    """Why it can't be wrapped, or its sender wants it left."""
    fold: int | None = None
    """Where a line break may take the place of white space before its attribute."""
    is_in_comment: bool = False


def read_html_link(body: Body, link: FoundLink, *, heeds_foreign: bool) -> ReadLink:
    """Read a link that the scan of a part's HTML found.

    Args:
        body: the part.
        link: the link; its offsets are those of the part's text.
        heeds_foreign: whether other products' attributes opt it out.
    """
    charset = body.charset
    values = {
        name: decode_references(charset.decode(value))
        for name, value in link.attributes.items()
        if heeds_foreign or name in OWN_ATTRIBUTES
    }
    options = LinkOptions(values)
    target = read_target(decode_references(charset.decode(link.raw)))
    encoder = charset.find_encoder(link.raw)
    if encoder is not None and not target.isascii():
        target = encode_query(target, encoder)
    is_amp = body.leaf.role == "amp"
    reason: Reason | None
    if options.is_opted_out or (heeds_foreign and is_foreign_opt_out(values)):
        reason = Reason.OPTED_OUT
    elif is_amp and "{{" in target:
        reason = Reason.AMP_TEMPLATE
    else:
        reason = check_target(target)
    if reason is None and link.url_text:
        reason = Reason.URL_TEXT
    if reason is None and body.has_unread and "\ufffd" in target:
        # Nobody knows where a link leads of which a byte can't be read.
        reason = Reason.UNSUPPORTED_CHARSET
    place = body.locate_part(link.start, link.end)
    return ReadLink(
        place=place,
        target=target,
        options=options,
        where="amp" if is_amp and link.where == "html" else link.where,
        reason=reason or (Reason.UNSUPPORTED_CHARSET if place is None else None),
        fold=_locate_fold(body, link.fold),
        is_in_comment=link.is_in_comment,
    )


def read_text(
    body: Body, opted_out: Collection[str]
) -> tuple[list[ReadLink], list[tuple[int, int]]]:
    """Find the links of a plain text, and the `[[data-msys-…]]` behind them.

    Args:
        body: the part.
        opted_out: targets that the sender has opted out in HTML.

    Returns:
        The links, and the ranges of the part's text that no reader should see.

    Raises:
        LeftAloneError: it is in OpenPGP's armour.
    """
    delsp = body.leaf.media_type.find("delsp")
    joins_lines = delsp is not None and lower_ascii(delsp) == "yes"
    found, removable = scan_text(body.text, body.charset, joins_lines=joins_lines)
    return [_read_text_link(body, each, opted_out) for each in found], removable


def _read_text_link(body: Body, link: FoundText, opted_out: Collection[str]) -> ReadLink:
    target = body.charset.decode(body.text[link.start : link.end])
    reason = Reason.SPLIT_LINK if link.goes_on else check_target(target)
    if link.options.is_opted_out or (reason is None and target in opted_out):
        reason = Reason.OPTED_OUT
    place = body.locate_part(link.start, link.end)
    return ReadLink(
        place=place,
        target=target,
        options=link.options,
        where="text",
        reason=reason or (Reason.UNSUPPORTED_CHARSET if place is None else None),
    )


def _locate_fold(body: Body, fold: int | None) -> int | None:
    # In units of two or four bytes a white-space byte is no character.
    if fold is None or body.is_wide:
        return None
    place = body.locate_part(fold, fold + 1)
    return None if place is None else place[0]
