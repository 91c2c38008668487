"""Events as a month of mail makes them, as the recorder writes them: about 1 KB each, in order."""

import random
import time
from collections.abc import Iterator
from typing import Final

MAILS_A_DAY: Final = 333_333
"""Events, that is: ten million in thirty days."""

BEGIN: Final = 1_790_000_000
_DAY: Final = 86_400
_CAMPAIGNS: Final = 300
_RECIPIENTS: Final = 2_000_000
# Half of what readers do they do within the first two hours.
_MEDIAN_DELAY_SECONDS: Final = 7_200
_KINDS: Final = (
    ("open", "human", b""),
    ("open", "prefetch", b""),
    ("open", "proxy", b""),
    ("click", "human", b',"target_link_url":"https://shop.test/?a=1","target_link_name":"banner"'),
    ("click", "scanner", b',"target_link_url":"https://shop.test/","target_link_name":"Raw URL"'),
)
# Few are frequent: each is twice as frequent as the next one.
_CLIENTS: Final = (
    (b"Apple Mail", b"iOS"), (b"Gmail", b"Android"), (b"Chrome", b"Windows"),
    (b"Outlook", b"Windows"), (b"Safari", b"macOS"), (b"Firefox", b"Linux"),
    (b"Samsung Mail", b"Android"), (b"Thunderbird", b"Linux"),
)  # fmt: skip
_COUNTRIES: Final = (
    b"US", b"DE", b"GB", b"FR", b"NL", b"ES", b"IT", b"PL", b"AT", b"CH", b"BE", b"SE",
)  # fmt: skip
_EVENT: Final = (
    b'{"msys":{"track_event":{"type":"%b","event_id":"%b","timestamp":"%d","message_id":"%020x",'
    b'"transmission_id":"%d","customer_id":"1","subaccount_id":"101","campaign_id":"Campaign %d",'
    b'"rcpt_to":"reader.%d@example%d.test","raw_rcpt_to":"Reader.%d@example%d.test",'
    b'"rcpt_type":"cc","rcpt_meta":{"customKey":"customValue","nested":{"n":1.5}},'
    b'"rcpt_tags":["male","US"],"recipient_domain":"example%d.test","injection_time":"%b",'
    b'"open_tracking":true,"click_tracking":true,"initial_pixel":true,"amp_enabled":false,'
    b'"transactional":"1","delv_method":"esmtp","ip_address":"203.0.113.7",'
    b'"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",'
    b'"user_agent_parsed":{"agent_family":"%b","os_family":"%b","is_mobile":false,'
    b'"is_prefetched":false,"is_proxy":false},"geo_ip":{"country":"%b"},'
    b'"accept_language":"en"%b,"x_msys_track":'
    b'{"class":"%b","rules":[],"first":{"message":true,"link":true},'
    b'"target_link_position":{"number":3,"part":"html"}}}}}'
)


def make_lines(start: int, count: int, seed: int = 0) -> Iterator[bytes]:
    """Make lines of the event log, those from one on; the same numbers give the same lines.

    A campaign is sent within an hour, a new one every few hours. Readers come soon, or days later.
    """
    chance = random.Random(f"{seed} {start}")  # noqa: S311 - a bench
    draw, whole = chance.random, chance.getrandbits
    for number in range(start, start + count):
        at = BEGIN + number * _DAY / MAILS_A_DAY
        # A heavy tail: the median is there, and one in twenty comes after a day.
        injected = int(at - _MEDIAN_DELAY_SECONDS * (1 / (1 - draw() * 0.95) - 1))
        message = whole(18) | injected // 3_600 << 18
        recipient = message * 2_654_435_761 % _RECIPIENTS
        kind, class_, link = _KINDS[whole(16) % len(_KINDS)]
        client, system = _CLIENTS[8 - (whole(8) | 1).bit_length()]
        country = _COUNTRIES[12 - (whole(12) | 1).bit_length()]
        milliseconds = int(at * 1000)
        identifier = b"%08x-%04x-7%03x-8%03x-%012x" % (
            milliseconds >> 16,
            milliseconds & 0xFFFF,
            whole(12),
            whole(12),
            whole(48),
        )
        yield _EVENT % (
            kind.encode(),
            identifier,
            int(at),
            message * 0x9E3779B97F4A7C15 % (1 << 80),
            65832150921904138 + injected // 3_600,
            injected // 8_640 % _CAMPAIGNS,
            recipient,
            recipient % 50,
            recipient,
            recipient % 50,
            recipient % 50,
            time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(injected)).encode(),
            client,
            system,
            country,
            link,
            class_.encode(),
        )
