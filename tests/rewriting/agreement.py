"""Both engines on one message: each tells what the other does, byte for byte."""

from typing import Any

from tests.rewriting.plans import KEYS, URLS, engagement

from msys_track.keys.ring import TrackedUrls
from msys_track.rewriting.engine import Engine, Plan, Rendered
from msys_track.rewriting.engines import find_engine
from msys_track.rewriting.rules import Rules

NATIVE, REFERENCE = find_engine("native"), find_engine("reference")
TRACKED: dict[str, Any] = {
    "open_tracking": True,
    "initial_pixel": True,
    "metadata": '{"name":"value","numbers":[1,2,3]}',
    "tags": ["a", "b"],
}
URL_KINDS = [
    URLS,
    TrackedUrls(
        domain="[::1]:8443", click_scheme="same", open_scheme="http", click_metadata=False
    ),
    TrackedUrls(
        domain="e.com",
        click_scheme="HTTP",
        open_scheme="HTTP",
        click_metadata=True,
        allow_downgrade=False,
    ),
]
RULES = [
    Rules(),
    Rules(signed_mail="strip", outlook_links=False, text_links=False, keep_link_attributes=True),
    Rules(
        signed_mail="track",
        never_wrap=("*e.com/?*", "http://*x", "HTTPS://E.COM*"),
        fold_long_lines=False,
        foreign_opt_outs=True,
        spare_url_text=True,
        strip_text_options=True,
        pixel_placeholder="<!-- pixel -->",
    ),
]


def describe(planned: Plan, copy: Rendered) -> dict[str, Any]:
    """All that engines tell of a message and a copy."""
    return {
        "links": [
            (each.offset, each.length, each.target, each.name, each.kind, each.sublink, each.where)
            for each in planned.links
        ],
        "parts": [
            (
                each.offset,
                each.length,
                each.media_type,
                each.charset,
                each.transfer_encoding,
                each.reason,
            )
            for each in planned.parts
        ],
        "left_alone": sorted(
            (each.offset, each.length, each.reason, each.target or "")
            for each in (*planned.left_alone, *copy.left_alone)
        ),
        "counts": (copy.wrapped_links, copy.pixels, copy.clips_html),
        "without_metadata": (
            list(copy.links_without_metadata),
            list(copy.pixels_without_metadata),
        ),
        "edits": [tuple(each) for each in copy.edits],
        "message": copy.message,
    }


def rewrite(
    engine: Engine, message: bytes, rules: Rules, urls: TrackedUrls, **options: Any
) -> dict[str, Any]:
    planned = engine.plan(message, rules, drop_headers=[b"X-MSYS-API"])
    return describe(planned, planned.render(KEYS, engagement(**options), urls))


def assert_both_agree(
    message: bytes, rules: Rules = RULES[0], urls: TrackedUrls = URLS, **options: Any
) -> None:
    asked = {**TRACKED, **options}
    native = rewrite(NATIVE, message, rules, urls, **asked)
    reference = rewrite(REFERENCE, message, rules, urls, **asked)
    for what, told in native.items():
        assert reference[what] == told, what
    for name in (b"X-MSYS-API", b"subject"):
        fields = [
            [
                ([tuple(run) for run in lines], value)
                for lines, value in engine.header_fields(message, name)
            ]
            for engine in (NATIVE, REFERENCE)
        ]
        assert fields[0] == fields[1]
