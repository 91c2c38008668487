"""The mails of the tour, each of another shape, and what must come out of each.

The expectation stands beside the mail and was written by hand, so that nothing the product does
can change it. The user's own mail is one more entry, about which nothing is known in advance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from msys_track.errors import SettingsError, describe_os_error
from msys_track.reasons import Reason
from msys_track.testing.mail_reader import LinkPlace
from msys_track.testing.sender import WireForm, wire_form

# Where links are wrapped. Links in the other places are left alone.
WRAPPED_PLACES: Final = frozenset({LinkPlace.HTML, LinkPlace.OUTLOOK})

# More than the proxy takes; the rest of a longer file does not change its answer.
MAX_BYTES: Final = 40 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLink:
    """A link of a mail, as its reader's mail program has it before tracking."""

    href: str
    place: LinkPlace = LinkPlace.HTML
    name: str = "Raw URL"
    """The name of its clicks in events: `data-msys-linkname`, or SparkPost's word for none."""
    left_alone: Reason | None = None

    @property
    def is_wrapped(self) -> bool:
        """Whether it must lead to the tracker."""
        return self.left_alone is None and self.place in WRAPPED_PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail and, for a mail of the tour, what must become of it."""

    file: str
    """Its name in the folder `mails`, or the path of the user's own file."""
    content: bytes | None = None
    """The content of the user's own file; None for a mail of the tour, which sets all below."""
    title: str = ""
    shape: str = ""
    sender: str = "you@example.com"
    recipients: tuple[str, ...] = ("reader@example.net",)
    links: tuple[ExpectedLink, ...] = ()
    """Every link, in the order they stand."""
    is_opened: bool = True
    """Whether it must get a pixel."""
    reasons: frozenset[Reason] = frozenset()
    """All reasons that must be reported for what was left alone."""
    campaign_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether it is a mail of the tour."""
        return self.content is None

    @property
    def tracked_links(self) -> tuple[ExpectedLink, ...]:
        """The links that must lead to the tracker."""
        return tuple(link for link in self.links if link.is_wrapped)

    @property
    def is_tracked(self) -> bool:
        """Whether anything of it must be changed."""
        return self.is_opened or bool(self.tracked_links)

    def wire_form(self) -> WireForm:
        """Read the mail as a mail program sends it."""
        if self.content is not None:
            return wire_form(self.content)
        return wire_form((resources.files("msys_track.demo") / "mails" / self.file).read_bytes())

    def message(self) -> bytes:
        """Read the mail, in wire form."""
        return self.wire_form().message


def load_own(path: Path) -> Mail:
    """Read a file, which need not be a mail, as far as the proxy could accept it.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return Mail(file=str(path), content=file.read(MAX_BYTES))
    except OSError as error:
        raise SettingsError(f"{path}: {describe_os_error(error)}") from error


NEWSLETTER: Final = Mail(
    file="newsletter.eml",
    title="Newsletter of a shop",
    shape="HTML in quoted-printable, a text version, a button for Outlook",
    sender="news@shop.example.com",
    recipients=("ana.silva@example.net",),
    links=(
        ExpectedLink(href="https://shop.example.com/spring?utm_source=mail", place=LinkPlace.TEXT),
        ExpectedLink(href="https://shop.example.com/mail/7f3a?lang=en"),
        ExpectedLink(
            href="https://shop.example.com/spring?utm_source=mail&utm_medium=email&utm_campaign=spring",
            name="hero",
        ),
        ExpectedLink(
            href="https://shop.example.com/spring/boots?size=38&ref=button",
            place=LinkPlace.OUTLOOK,
        ),
        ExpectedLink(href="https://shop.example.com/spring/boots?size=38&ref=button"),
        ExpectedLink(href="https://shop.example.com/p/4711?colour=&size#reviews"),
        ExpectedLink(
            href="mailto:hello@shop.example.com?subject=Which%20size",
            left_alone=Reason.NOT_HTTP,
        ),
        ExpectedLink(
            href="https://shop.example.com/unsubscribe?u=7Qx", left_alone=Reason.OPTED_OUT
        ),
    ),
    reasons=frozenset({Reason.NOT_HTTP, Reason.OPTED_OUT, Reason.TEXT_LINKS_OFF}),
    campaign_id="spring",
    metadata={"segment": "gold", "variant": 2},
    tags=("newsletter",),
)

RECEIPT: Final = Mail(
    file="receipt.eml",
    title="Receipt of an order",
    shape="HTML in base64, an HTML file attached",
    sender="orders@orders.example.com",
    recipients=("Joao.Pereira@example.net", "books@example.org"),
    links=(
        ExpectedLink(
            href="https://orders.example.com/o/2026-004711?t=Zm9v%2Bbar%3D&step=track",
        ),
        ExpectedLink(href="https://orders.example.com/o/2026-004711/invoice.pdf"),
        ExpectedLink(href="tel:+351210000000", left_alone=Reason.NOT_HTTP),
        ExpectedLink(href="https://orders.example.com/terms", place=LinkPlace.ATTACHMENT),
    ),
    reasons=frozenset({Reason.NOT_HTTP, Reason.ATTACHED_PART}),
)

ALERT: Final = Mail(
    file="alert.eml",
    title="Alert of a monitoring system",
    shape="text only, with a line that is a lone dot",
    sender="alerts@ops.example.com",
    recipients=("oncall@example.net",),
    links=(
        ExpectedLink(
            href="https://ops.example.com/incidents/8841?tab=graphs", place=LinkPlace.TEXT
        ),
    ),
    is_opened=False,
    reasons=frozenset({Reason.NO_HTML_PART, Reason.TEXT_LINKS_OFF}),
)

PASSWORD_RESET: Final = Mail(
    file="password-reset.eml",
    title="Password reset",
    shape="HTML and text; its X-MSYS-API header switches tracking off",
    sender="no-reply@accounts.example.com",
    recipients=("maria@example.net",),
    links=(
        ExpectedLink(
            href="https://accounts.example.com/reset/5d1c9e07b2?expires=3600",
            place=LinkPlace.TEXT,
            left_alone=Reason.TRACKING_OFF,
        ),
        ExpectedLink(
            href="https://accounts.example.com/reset/5d1c9e07b2?expires=3600",
            left_alone=Reason.TRACKING_OFF,
        ),
    ),
    is_opened=False,
    reasons=frozenset({Reason.TRACKING_OFF}),
)

INVITATION: Final = Mail(
    file="invitation.eml",
    title="Invitation of a choir",
    shape="HTML in 8bit UTF-8; campaign and metadata by its X-MSYS-API header",
    sender="board@choir.example.org",
    recipients=("noor@example.net", "ola@example.net", "pat@example.org"),
    links=(
        ExpectedLink(href="https://choir.example.org/rsvp?concert=12&answer=yes"),
        ExpectedLink(href="https://choir.example.org/rsvp?concert=12&answer=no"),
        ExpectedLink(href="http://maps.example.com/?q=51.4545,-2.5879&z=17"),
        ExpectedLink(href="#programme", left_alone=Reason.NOT_HTTP),
    ),
    reasons=frozenset({Reason.NOT_HTTP}),
    campaign_id="concert \N{EN DASH} June",
    metadata={
        "season": {"year": 2026, "part": "summer"},
        "rehearsals": ["2026-05-29", "2026-06-05"],
    },
)

BOOKING: Final = Mail(
    file="booking.eml",
    title="Booking of a hotel, in French",
    shape="HTML in 8bit windows-1252, capital tags, an image map",
    sender="reservation@hotel.example.com",
    recipients=("lea.martin@example.net",),
    links=(
        ExpectedLink(href="https://hotel.example.com/r/90211"),
        ExpectedLink(href="https://hotel.example.com/plan?etage=2&vue=mer"),
    ),
)

CONTRACT: Final = Mail(
    file="contract.eml",
    title="Contract with a PGP signature",
    shape="multipart/signed; one changed byte would break it",
    sender="legal@example.com",
    recipients=("partner@example.org",),
    links=(
        ExpectedLink(href="https://legal.example.com/contracts/77", left_alone=Reason.SIGNED_PART),
    ),
    is_opened=False,
    reasons=frozenset({Reason.SIGNED_PART, Reason.NO_HTML_PART}),
)

MAILS: Final = (NEWSLETTER, RECEIPT, ALERT, PASSWORD_RESET, INVITATION, BOOKING, CONTRACT)
