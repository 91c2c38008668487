"""The mails of the tour, each of another shape, and what must come out of each."""

from typing import Final

from msys_track.demo.mail import ExpectedLink, Mail
from msys_track.reasons import Reason
from msys_track.testing.mail_reader import Place

NEWSLETTER: Final = Mail(
    file="newsletter.eml",
    title="Newsletter of a shop",
    shape="HTML in quoted-printable, a text version, a button for Outlook",
    sender="news@shop.example.com",
    recipients=("ana.silva@example.net",),
    links=(
        ExpectedLink(href="https://shop.example.com/spring?utm_source=mail", place=Place.TEXT),
        ExpectedLink(href="https://shop.example.com/mail/7f3a?lang=en"),
        ExpectedLink(
            href="https://shop.example.com/spring?utm_source=mail&utm_medium=email&utm_campaign=spring",
            name="hero",
        ),
        ExpectedLink(
            href="https://shop.example.com/spring/boots?size=38&ref=button",
            place=Place.OUTLOOK,
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
        ExpectedLink(href="https://orders.example.com/terms", place=Place.ATTACHMENT),
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
        ExpectedLink(href="https://ops.example.com/incidents/8841?tab=graphs", place=Place.TEXT),
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
            place=Place.TEXT,
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
