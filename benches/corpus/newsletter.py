"""A newsletter as MJML's compiler lays one out, made anew by every run.

Made and not recorded, so that nobody's mail is in the repository and size and links can be
chosen; the same arguments give the same bytes.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from email import policy
from email.message import EmailMessage
from html import escape
from random import Random
from typing import Final, Literal, TypeAlias

TransferEncoding: TypeAlias = Literal["8bit", "quoted-printable", "base64"]

METADATA: Final[Mapping[str, str]] = {
    "customer": "c-00481516231",
    "segment": "returning, bought in last 90 days",
    "locale": "de_AT",
    "experiment": "subject-line-b/hero-2",
    "order": "2026-11-19/000771204",
    "template": "autumn-sale/week-47/v3.1.12",
}
"""200 bytes as JSON without blanks, as a sender joins opens and clicks to its own records."""

_TEXT: Final = (
    "wool linen cotton walnut oak ash copper brass enamel stoneware felt leather cork paper "
    "light warm quiet slow small early northern coastal plain woven turned carved glazed dyed "
    "chair lamp bowl blanket kettle shelf jacket notebook basket candle pillow teapot stool "
    "we made this for long evenings and it keeps its shape after many winters of daily use "
    "every piece is numbered signed and sent in a box that can be used again without plastic"
)
_WORDS: Final = _TEXT.split()

_HEAD: Final = """<!doctype html>
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<title>Autumn at the workshop</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style type="text/css">
#outlook a { padding: 0; }
body { margin: 0; padding: 0; -webkit-text-size-adjust: 100%; -ms-text-size-adjust: 100%; }
table, td { border-collapse: collapse; mso-table-lspace: 0pt; mso-table-rspace: 0pt; }
img { border: 0; height: auto; line-height: 100%; outline: none; text-decoration: none; }
p { display: block; margin: 13px 0; }
@media only screen and (min-width: 480px) {
  .mj-column-per-33 { width: 33.333% !important; max-width: 33.333%; }
  .mj-column-per-66 { width: 66.666% !important; max-width: 66.666%; }
}
</style>
</head>
<body style="word-spacing:normal;background-color:#f4f1ec;">
<div style="display:none;font-size:1px;color:#ffffff;max-height:0px;opacity:0;overflow:hidden;">
New from the workshop on Ærø: wool, walnut and stoneware, in time for the long evenings</div>
<div style="background-color:#f4f1ec;">
"""
_TAIL: Final = "</div>\n</body>\n</html>\n"

# The comments are for Outlook on Windows, which takes widths from tables only; no links in them.
_SECTION: Final = """\
<!--[if mso | IE]><table align="center" border="0" cellpadding="0" cellspacing="0" class="" \
role="presentation" style="width:600px;" width="600" bgcolor="{colour}" ><tr><td \
style="line-height:0px;font-size:0px;mso-line-height-rule:exactly;"><![endif]-->
<div style="margin:0px auto;max-width:600px;background-color:{colour};">
  <table align="center" border="0" cellpadding="0" cellspacing="0" role="presentation" \
style="width:100%;background-color:{colour};">
    <tbody>
      <tr>
        <td style="direction:ltr;font-size:0px;padding:20px 0;text-align:center;">
          <!--[if mso | IE]><table role="presentation" border="0" cellpadding="0" \
cellspacing="0"><tr><td class="" style="vertical-align:top;width:200px;" ><![endif]-->
          <div class="mj-column-per-33 mj-outlook-group-fix" style="font-size:0px;\
text-align:left;direction:ltr;display:inline-block;vertical-align:top;width:100%;">
            <table border="0" cellpadding="0" cellspacing="0" role="presentation" \
style="vertical-align:top;" width="100%">
              <tbody>
                <tr>
                  <td align="center" style="font-size:0px;padding:10px 25px;\
word-break:break-word;">
                    {image}
                  </td>
                </tr>
              </tbody>
            </table>
          </div>
          <!--[if mso | IE]></td><td class="" style="vertical-align:top;width:400px;" ><![endif]-->
          <div class="mj-column-per-66 mj-outlook-group-fix" style="font-size:0px;\
text-align:left;direction:ltr;display:inline-block;vertical-align:top;width:100%;">
            <table border="0" cellpadding="0" cellspacing="0" role="presentation" \
style="vertical-align:top;" width="100%">
              <tbody>
                <tr>
                  <td align="left" style="font-size:0px;padding:10px 25px;\
word-break:break-word;">
                    <div style="font-family:Ubuntu, Helvetica, Arial, sans-serif;\
font-size:14px;line-height:1.6;text-align:left;color:#3c3a36;">
                      <strong>{name}</strong> &ndash; {text}
                    </div>
                  </td>
                </tr>
                <tr>
                  <td align="left" vertical-align="middle" style="font-size:0px;\
padding:10px 25px;word-break:break-word;">
                    <table border="0" cellpadding="0" cellspacing="0" role="presentation" \
style="border-collapse:separate;line-height:100%;">
                      <tbody>
                        <tr>
                          <td align="center" bgcolor="#7a4b2a" role="presentation" \
style="border:none;border-radius:3px;cursor:auto;background:#7a4b2a;" valign="middle">
                            <a href="{url}" style="display:inline-block;background:#7a4b2a;\
color:#ffffff;font-family:Ubuntu, Helvetica, Arial, sans-serif;font-size:13px;\
text-decoration:none;padding:10px 25px;" target="_blank">{label}</a>
                          </td>
                        </tr>
                      </tbody>
                    </table>
                  </td>
                </tr>
              </tbody>
            </table>
          </div>
          <!--[if mso | IE]></td></tr></table><![endif]-->
        </td>
      </tr>
    </tbody>
  </table>
</div>
<!--[if mso | IE]></td></tr></table><![endif]-->
"""

_IMAGE: Final = """\
<img alt="{name}" src="https://images.shop.example/w47/{slug}@2x.jpg" style="border:0;\
display:block;outline:none;text-decoration:none;height:auto;width:100%;font-size:13px;" \
width="150" height="auto">"""
_LINKED_IMAGE: Final = '<a href="{url}" target="_blank">' + _IMAGE + "</a>"
_LINKED_IMAGES: Final = 5
"""One image in so many is a link."""


def html(kilobytes: int) -> bytes:
    """Lay out a newsletter of about so many kilobytes: UTF-8, CRLF, a link for each 3.2 kB.

    A link is 160 to 180 bytes, with five utm parameters, its ampersands escaped.
    """
    random = Random(kilobytes)  # noqa: S311 - the same letter every time is the point
    parts = [_HEAD, *_sections(random, kilobytes * 1000 - len(_HEAD) - len(_TAIL)), _TAIL]
    return "".join(parts).replace("\n", "\r\n").encode()


def links(newsletter: bytes) -> int:
    """Count the links of a newsletter of ours."""
    return newsletter.count(b"<a href=")


def message(newsletter: bytes, encoding: TransferEncoding) -> bytes:
    """Wrap a newsletter into a mail with CRLF throughout; `X-MSYS-API` carries `METADATA`."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = "The workshop <news@shop.example>"
    mail["To"] = "Jo Reader <jo.reader@example.org>"
    mail["Subject"] = "Autumn at the workshop"
    mail["Date"] = "Tue, 24 Nov 2026 09:00:00 +0000"
    mail["Message-ID"] = "<20261124.w47.0001@shop.example>"
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = 'text/html; charset="utf-8"'
    mail["Content-Transfer-Encoding"] = encoding
    head = mail.as_bytes().rstrip(b"\r\n")
    # Not by EmailMessage, which folds: JSON over several lines is not what senders write.
    api = b"X-MSYS-API: " + json.dumps({"metadata": METADATA}, separators=(",", ":")).encode()
    return b"\r\n".join([head, api, b"", encode_for_transfer(newsletter, encoding)])


def encode_for_transfer(body: bytes, encoding: TransferEncoding) -> bytes:
    """Encode a body with CRLF line breaks for transfer (RFC 2045 section 6)."""
    if encoding == "base64":
        return base64.encodebytes(body).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return binascii.b2a_qp(body, istext=True)
    return body


def _sections(random: Random, size: int) -> Iterator[str]:
    made = number = 0
    while made < size:
        section = _section(random, image=_IMAGE if number % _LINKED_IMAGES else _LINKED_IMAGE)
        made += len(section)
        number += 1
        yield section


def _section(random: Random, *, image: str) -> str:
    name = " ".join(random.choices(_WORDS, k=3))
    sku = random.randrange(100_000, 1_000_000)
    product = {"name": name.capitalize(), "slug": name.replace(" ", "-")}
    product["url"] = escape(
        f"https://www.shop.example/{product['slug']}/{sku}?utm_source=newsletter"
        "&utm_medium=email&utm_campaign=autumn-2026-w47"
        f"&utm_content=button-{sku % 89:02}&utm_term=returning"
    )
    return _SECTION.format(
        **product,
        colour=random.choice(["#ffffff", "#faf8f4"]),
        image=image.format(**product),
        text=f"{' '.join(random.choices(_WORDS, k=36)).capitalize()}.",
        label=f"See the {random.choice(_WORDS)}",
    )
