"""The pages around unsubscribing, as readers see them: no script, nothing from outside."""

from typing import Final

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action {}; base-uri 'none'; "
    "frame-ancestors 'none'"
)
CONTENT_SECURITY_POLICY: Final = _POLICY.format("'self'")
# Some browsers hold what a form's answer redirects to against `form-action` (CSP 3, issue 8).
LEADING_POLICY: Final = _POLICY.format("'self' http: https:")

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.125rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 0; \
padding: 0 1.5rem; }}
h1 {{ font-size: 1.5rem; }}
button {{ font: inherit; padding: .6em 1.4em; cursor: pointer; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

# A browser sends the form to the address of the page. Scanners that follow links change nothing.
_FORM: Final = """\
<p>{question}</p>
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<input type="hidden" name="confirmed" value="yes">
<button type="submit">Unsubscribe</button>
</form>"""


def _make_page(title: str, body: str) -> bytes:
    return _PAGE.format(title=title, body=body).encode("ascii")


ASK: Final = _make_page(
    "Unsubscribe", _FORM.format(question="Do you want no more mail of this kind?")
)
DONE: Final = _make_page(
    "You are unsubscribed", "<p>You have left this list. You can close this page.</p>"
)
TOO_OLD: Final = _make_page(
    "This link has expired",
    "<p>Nothing was changed. Use the link in a newer mail, or ask the sender.</p>",
)
