"""The links that are clicked: thousands of different ones, of several mails and many readers."""

import json
import secrets
import time
from pathlib import Path

from msys_track.keys.ring import Claims, Engagement, KeyRing

_LIFETIME_SECONDS = 31_536_000


def write_links(file: Path, keys: KeyRing, count: int) -> None:
    """Write the paths of so many clicks, a line each: what a mail of a shop has in its tokens."""
    now = int(time.time())
    paths = []
    for number in range(count):
        engagement = Engagement(
            message_id=secrets.token_hex(10),
            recipient=f"reader{number}@example.com",
            injected_at=now,
            expires_at=now + _LIFETIME_SECONDS,
            customer_id=1,
            transmission_id=65_832_150_921_904_138 + number,
            campaign_id="Spring sale",
            metadata=json.dumps(
                {"customer": f"c-{number}", "segment": "loyal", "locale": "en-US"}
            ),
            tags=["newsletter", "spring"],
            open_tracking=True,
            click_tracking=True,
        )
        target = (
            f"https://shop.example.com/products/{number % 500}?utm_source=mail&utm_campaign=spring"
        )
        claims = Claims(
            kind="click",
            engagement=engagement,
            target=target,
            link_name=f"product {number % 500}",
            link_number=1 + number % 40,
            link_part="html",
        )
        paths.append("/" + keys.seal(claims))
    file.write_text("\n".join(paths) + "\n", encoding="ascii")
