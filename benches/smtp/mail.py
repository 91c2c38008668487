"""The mail of the SMTP bench: 3.8 KB, text and HTML, a dozen links, as a shop confirms an order.

Small on purpose: at this size the session costs more than the bytes do.
"""

TRACKING_DOMAIN = "click.shop.example"
LINKS = 12
SENDER = "orders@shop.example"
RECIPIENT = "jo.reader@example.org"

_ITEM = """\
<tr><td style="padding:8px 0"><a href="https://shop.example/products/{number}?ref=mail&amp;pos={position}">
<img src="https://cdn.shop.example/p/{number}.jpg" width="96" height="96" alt="Item {number}"></a></td>
<td style="padding:8px">Item {number}<br>1 piece, 24.90 EUR</td></tr>
"""  # noqa: E501 - as mails have it

_MAIL = """\
From: Shop <{sender}>
To: Jo Reader <{recipient}>
Subject: Your order 4711 is on its way
Date: Tue, 24 Nov 2026 09:00:00 +0000
Message-ID: <4711@shop.example>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="=_parts"

--=_parts
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

Hello Jo, your order 4711 is on its way. Follow it at https://shop.example/orders/4711 .

--=_parts
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 7bit

<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Your order</title>
<style>body {{ font-family: sans-serif; color: #222 }} a {{ color: #0a58ca }}
table {{ border-collapse: collapse; width: 100% }} h1 {{ font-size: 22px; margin: 24px 0 12px }}
p.small {{ font-size: 12px; line-height: 1.5; color: #6c6a66 }}</style></head>
<body><h1>Thank you, Jo</h1>
<p>Your order 4711 left our house today.
<a href="https://shop.example/orders/4711">Follow your parcel</a>.</p>
<table>
{items}</table>
<p><a href="https://shop.example/returns">Returns</a>
<a href="https://shop.example/help?topic=delivery&amp;order=4711">Help</a>
<a href="https://shop.example/account">Your account</a></p>
<p class="small">You get this mail since you ordered from us on 23 November 2026. We send parcels
with the post; they need two working days within the country and four abroad. If nobody is at home,
the parcel waits for you at the nearest post office for ten days. Shop Ltd, Harbour Street 12, 1050
Example Town; registered there under number 0481516. Prices include VAT. You may send back what
you don't like within thirty days, at our cost.</p>
</body></html>

--=_parts--
"""


def message() -> bytes:
    """Return the mail with CRLF line ends; no line begins with a dot."""
    items = "".join(
        _ITEM.format(number=1000 + position, position=position) for position in range(8)
    )
    text = _MAIL.format(sender=SENDER, recipient=RECIPIENT, items=items)
    return text.replace("\n", "\r\n").encode("ascii")
