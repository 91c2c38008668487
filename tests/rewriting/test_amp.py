"""AMP parts: what is put into them keeps them valid."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from tests.rewriting.plans import KEYS, engagement, plan, render

from msys_track.keys.ring import TrackedUrls
from msys_track.rewriting.engine import Rendered

BOILERPLATE: Final = (
    '<!doctype html>\n<html ⚡4email data-css-strict>\n<head>\n<meta charset="utf-8">\n'
    '<script async src="https://cdn.ampproject.org/v0.js"></script>\n'
    "<style amp4email-boilerplate>body{visibility:hidden}</style>\n"
)


def document(body: str, head: str = "", body_tag: str = "<body>") -> str:
    return f"{BOILERPLATE}{head}</head>\n{body_tag}\n{body}\n</body>\n</html>\n"


def component(name: str, version: str = "0.1", attribute: str = "custom-element") -> str:
    url = f"https://cdn.ampproject.org/v0/{name}-{version}.js"
    return f'<script async {attribute}="{name}" src="{url}"></script>\n'


LINK: Final = '<p>Hello, <a href="https://shop.example/a?b=1&amp;c=2">see</a> what is new.</p>'
# As senders write them: a newsletter, a form, a gallery, a list that a template fills in.
MAILS: Final = {
    "newsletter": document(
        f'{LINK}<amp-img src="https://shop.example/i.png" width="600" height="200" alt="Sale" '
        'layout="responsive"></amp-img><a href="http://shop.example/b" target="_blank" '
        'data-msys-linkname="b" class="button">Buy</a><a href="mailto:jo@shop.example">Write</a>',
        "<style amp-custom>.button{color:#fff;background-color:#00f}</style>\n",
        '<body class="mail">',
    ),
    "carousel": document(
        '<amp-carousel width="400" height="300" layout="responsive" type="slides">'
        '<a href="https://shop.example/1"><amp-img src="https://shop.example/1.png" width="400" '
        'height="300" alt="1" layout="responsive"></amp-img></a>'
        '<a href="https://shop.example/2"><amp-img src="https://shop.example/2.png" width="400" '
        'height="300" alt="2" layout="responsive"></amp-img></a></amp-carousel>',
        component("amp-carousel"),
    ),
    "form": document(
        '<form method="post" action-xhr="https://shop.example/review"><input type="text" '
        'name="review" required><input type="submit" value="Send"><div submit-success>'
        'Thanks! <a href="https://shop.example/reviews">All reviews</a></div></form>',
        component("amp-form"),
    ),
    "list": document(
        '<amp-list width="auto" height="100" layout="fixed-height" '
        'src="https://shop.example/items.json"><template type="amp-mustache">'
        "<div>{{name}}"
        '<a href="https://shop.example/all">All</a></div></template></amp-list>',
        component("amp-list") + component("amp-mustache", "0.2", "custom-template"),
    ),
    "accordion": document(
        '<amp-accordion><section expanded><h2>One</h2><div><a href="https://shop.example/1" '
        'data-msys-clicktrack="0">one</a></div></section><section><h2>Two</h2><div>'
        '<a href="https://shop.example/2">two</a></div></section></amp-accordion>',
        component("amp-accordion"),
    ),
}


def message(amp: str, encoding: str = "8bit") -> bytes:
    lines = (
        "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n\n--b\n"
        "Content-Type: text/plain\n\nhttps://shop.example/t\n--b\n"
        f"Content-Type: text/x-amp-html; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
        f"{amp}\n--b\n"
        'Content-Type: text/html\n\n<body><a href="https://shop.example/h">h</a></body>\n--b--\n'
    )
    return lines.replace("\n", "\r\n").encode()


def read_amp(rendered: Rendered | bytes) -> str:
    whole = rendered if isinstance(rendered, bytes) else rendered.message
    part = whole.split(b"--b\r\n")[2].decode()
    return part.partition("\r\n\r\n")[2]


def render_with(amp: str, click_scheme: str, open_scheme: str, **options: Any) -> Rendered:
    urls = TrackedUrls(
        domain="click.example.com",
        click_scheme=click_scheme,
        open_scheme=open_scheme,
        click_metadata=True,
    )
    asked = engagement(**{"open_tracking": True, **options})
    return plan(message(amp)).render(KEYS, asked, urls)


def find_kinds(amp: str) -> list[str]:
    return [KEYS.open(path).kind for path in re.findall(r"example\.com(/[fq]/[\w/-]+)", amp)]


def test_links_and_pixels_of_amp_are_of_their_own_kinds() -> None:
    planned = plan(message(MAILS["newsletter"]))
    assert planned.has_amp
    assert [(link.where, link.kind) for link in planned.links] == [
        ("text", "click"),
        ("amp", "amp_click"),
        ("amp", "amp_click"),
        ("html", "click"),
    ]
    amp = read_amp(render(planned, initial_pixel=True))
    assert find_kinds(amp) == ["amp_initial_open", "amp_click", "amp_click", "amp_open"]
    pixel = (
        '<div style="color:transparent;opacity:0;font-size:0px;border:0;max-height:1px;width:1px;'
        'margin:0px;padding:0px;border-width:0px;line-height:0px;"><amp-img alt="" height="1" '
        'width="1" src="https://click.example.com/q/'
    )
    assert f'<body class="mail">\r\n{pixel}' in amp
    assert amp.count(f"\r\n{pixel}") == 2
    assert amp.count('"></amp-img></div>\r\n') == 2
    assert amp.endswith('"></amp-img></div>\r\n</body>\r\n</html>\r\n\r\n')
    assert "data-msys" not in amp
    assert "!important" not in amp


def test_nothing_else_of_an_amp_part_changes() -> None:
    for name, amp in MAILS.items():
        rendered = render(plan(message(amp)), initial_pixel=True)
        after = re.sub(
            r"\r\n<div style=[^>]+><amp-img [^>]+></amp-img></div>\r\n", "", read_amp(rendered)
        )
        after = re.sub(
            r"https://click\.example\.com(/f/a/[\w-]+)",
            lambda url: KEYS.open(url[1]).target or "",
            after,
        )
        before = re.sub(r' data-msys-\w+="\w+"', "", read_amp(message(amp))).replace("&amp;", "&")
        assert after.replace("&amp;", "&") == before, name


def test_a_link_that_amp_fills_in_stays() -> None:
    link = '<a href="https://shop.example/item?id={{id}}">{{name}}</a>'
    planned = plan(message(document(link)))
    left = [(each.reason, each.target) for each in planned.left_alone]
    assert left == [("amp_template", "https://shop.example/item?id={{id}}")]
    relative = plan(message(document('<a href="{{url}}">x</a><a href="/a">y</a>')))
    assert [each.reason for each in relative.left_alone] == ["amp_template", "not_http"]


def test_no_tracked_url_in_amp_is_http() -> None:
    amp = MAILS["newsletter"]
    rendered = render_with(amp, "http", "http")
    assert read_amp(rendered) == read_amp(message(amp))
    assert [each.reason for each in rendered.left_alone] == ["amp_needs_https"] * 3
    assert find_kinds(read_amp(render_with(amp, "https", "http"))) == ["amp_click", "amp_click"]
    assert find_kinds(read_amp(render_with(amp, "http", "https"))) == ["amp_open"]
    same = read_amp(render_with(amp, "same", "https"))
    assert find_kinds(same) == ["amp_click", "amp_open"]
    assert 'href="http://shop.example/b"' in same


def test_amp_that_no_reader_shows_stays() -> None:
    alone = message(MAILS["newsletter"]).replace(b"multipart/alternative", b"multipart/mixed")
    planned = plan(alone)
    assert not planned.has_amp
    assert [each.reason for each in planned.left_alone] == ["not_alternative"]
    assert read_amp(render(planned)) == read_amp(alone)


def test_outlook_s_comments_in_amp_are_not_read() -> None:
    comment = (
        '<!--[if mso]><a href="https://shop.example/mso" data-msys-linkname="x">x</a><![endif]-->'
    )
    planned = plan(message(document(comment)))
    assert [link.where for link in planned.links] == ["text", "html"]
    assert comment in read_amp(render(planned))


VALIDATE: Final = """
const {getInstance} = require('amphtml-validator');
let input = '';
process.stdin.on('data', chunk => input += chunk).on('end', async () => {
  const validator = await getInstance(process.argv[1]);
  const found = JSON.parse(input).map(text => {
    const {status, errors} = validator.validateString(text, 'AMP4EMAIL');
    return [status, errors.map(error => error.message)];
  });
  console.log(JSON.stringify(found));
});
"""
# The validator's package loads the validator itself over the net; this one ships it.
PACKAGES: Final = ("amphtml-validator@1.0.38", "next@15.1.0")
CACHE: Final = Path(
    os.environ.get("MSYS_TRACK_AMP_VALIDATOR")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "msys-track", *PACKAGES)
)
ENGINE: Final = Path("next", "dist", "compiled", "amphtml-validator", "validator_wasm.js")


@pytest.fixture(scope="module")
def validator() -> Path:
    """The folder where the AMP validator is installed; it stays for the next time."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is missing, which the AMP validator comes from")
    modules = CACHE / "node_modules"
    if not (modules / ENGINE).exists():
        folder = CACHE.with_name(f"{CACHE.name}.{os.getpid()}.part")
        folder.mkdir(parents=True)
        options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional")
        command = [
            npm,
            "install",
            *options,
            "--legacy-peer-deps",
            "--prefix",
            str(folder),
            *PACKAGES,
        ]
        installed = subprocess.run(command, capture_output=True, check=False, timeout=300)  # noqa: S603
        if installed.returncode:
            shutil.rmtree(folder)
            pytest.skip("npm can't be reached, which the AMP validator comes from")
        shutil.rmtree(CACHE, ignore_errors=True)
        folder.rename(CACHE)
    return modules


def validate(modules: Path, documents: list[str]) -> list[tuple[str, list[str]]]:
    done = subprocess.run(  # noqa: S603
        ["node", "-e", VALIDATE, modules / ENGINE],  # noqa: S607
        input=json.dumps(documents),
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [(status, errors) for status, errors in json.loads(done.stdout)]


@pytest.mark.timeout(600)
def test_amp_that_was_valid_is_valid_with_its_links_and_pixels(validator: Path) -> None:
    before = [read_amp(message(amp)) for amp in MAILS.values()]
    after = [read_amp(render(plan(message(amp)), initial_pixel=True)) for amp in MAILS.values()]
    spoiled = after[0].replace("</amp-img></div>", '</amp-img><img src="x"></div>')
    *found, (verdict, _) = validate(validator, [*before, *after, spoiled])
    assert found == [("PASS", [])] * (2 * len(MAILS))
    assert verdict == "FAIL"
