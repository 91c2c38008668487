"""Writes the mails that `msys-track bench` comes with: `python -m benches.corpus`."""

from collections.abc import Mapping
from pathlib import Path

from benches.corpus import newsletter
from benches.smtp import mail

FOLDER = Path(__file__).parents[2] / "python" / "msys_track" / "comparison" / "mails"


def make_mails() -> Mapping[str, bytes]:
    """Make each mail, by the name of its file."""
    large, small = newsletter.html(80), newsletter.html(10)
    return {
        "newsletter-80.eml": newsletter.message(large, "8bit"),
        "newsletter-80-qp.eml": newsletter.message(large, "quoted-printable"),
        "newsletter-10.eml": newsletter.message(small, "8bit"),
        "order.eml": mail.message(),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, message in make_mails().items():
        (FOLDER / name).write_bytes(message)
