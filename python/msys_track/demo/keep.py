"""After the tour: everything keeps running, for the user's own mails and clicks."""

import asyncio
from collections.abc import Callable
from typing import Final

from msys_track.demo.page import cut_text
from msys_track.demo.stage import HOST, Stage
from msys_track.events import Event
from msys_track.testing.mail_reader import scan_mail
from msys_track.testing.sink import Arrival

_MAX_CHARACTERS: Final = 400

# Lines are split and joined since files seldom have SMTP's line ends.
_SEND: Final = (
    """python3 -c 'import smtplib; smtplib.SMTP("{host}", {port}, "client.localhost").sendmail("""
    """"you@example.com", "me@example.net", """
    """b"\\r\\n".join(open("my.eml", "rb").read().splitlines()))'"""
)
_DIRECTIONS: Final = """
Everything keeps running until Ctrl-C.

   proxy, SMTP         {host}:{port}
   tracker, HTTP       {origin}
   mail server behind  {host}:{mailbox_port}
   event store         {store}
   keys                {keys_file}

Send a mail of your own, and open the link that is then shown:

{send}
"""


async def keep(stage: Stage, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """Print how to send a mail, then a line for each mail and each event, until stopped."""
    stage.arrivals()
    port = stage.proxy.port
    say(
        _DIRECTIONS.format(
            host=HOST,
            port=port,
            origin=stage.origin,
            mailbox_port=stage.mailbox_port,
            store=stage.store,
            keys_file=stage.keys_file,
            send=_SEND.format(host=HOST, port=port),
        )
    )
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        happening = asyncio.create_task(stage.news.get())
        await asyncio.wait({stopping, happening}, return_when=asyncio.FIRST_COMPLETED)
        if happening.done():
            say(_describe_news(stage, happening.result()))
        else:
            happening.cancel()
    say("stopped; what the demo stored has been removed")


def _describe_news(stage: Stage, news: Arrival | Event) -> str:
    if isinstance(news, Event):
        what = f" on {news.target_link_url}" if news.target_link_url else ""
        return cut_text(f"event    {news.type.value} by {news.raw_rcpt_to}{what}", _MAX_CHARACTERS)
    reading = scan_mail(news.message)
    links = [link.href for link in reading.links if stage.is_tracked(link.href)]
    pixels = [image for image in reading.images if stage.is_tracked(image)]
    whose = cut_text(", ".join(news.recipients), _MAX_CHARACTERS)
    if links:
        number = f"{len(links)} of {len(reading.links)} links wrapped"
        return f"arrived  for {whose}, {number}: {links[0]}"
    if pixels:
        return f"arrived  for {whose}, no link wrapped; its pixel: {pixels[0]}"
    return f"arrived  for {whose}, not tracked"
