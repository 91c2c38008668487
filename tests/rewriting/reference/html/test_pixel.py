"""A pixel stands before what would hide it (`|`), and where the body ends if nothing does."""

import pytest

from msys_track.rewriting.reference.html.scan import scan_html

HIDDEN = "style='display:none'"


@pytest.mark.parametrize(
    "html",
    [
        "x|<a>y</body>", "x<a>y</a>z|</body>", "|<a>x<a>y</body>", "|<a>",
        "<body>x|<select><option>",
        "<select><option></select>|", "<select><select>|", "<select><input>|", "|<noscript>x",
        "<noscript></noscript>|</body>", "|<template>x</body>", "<template><a></template>x|",
        "|<template><td></template>x", "x|<a><b></b></body>y</html>", "|<a></body></a><!--",
        "<select>x<textarea></textarea>|", "<noscript></noscript>|",
        # a pixel would end SVG and MathML
        "x|<svg><a></body>", "<svg><a></svg>x|</body>", "|<math>x", "<svg/>|",
        "|<svg><svg></svg>x",
        # of several the outermost
        "x|<noscript><a></body>", "<a></a>|<select><a></body>", "x<a>|<select></a></body>",
        # what stands before the body hides nothing in it
        "<noscript><body>x|</body>", "<noscript><body>x<a>y|</body>", "|<a><noscript>x",
    ],
)  # fmt: skip
def test_it_is_not_inside_of_what_no_client_loads(html: str) -> None:
    assert_place(html)


@pytest.mark.parametrize(
    "html",
    [
        f"|<div {HIDDEN}>x</body>", f"<div {HIDDEN}>x</div>y|</body>",
        f"|<DIV {HIDDEN}><div></div>x",
        f"<div {HIDDEN}><div></div></div>|", f"<div {HIDDEN}></p></div>|", f"|<div {HIDDEN}></p>",
        "|<div style=' DISPLAY : \n None ; x'>", "|<b style='d&#105;splay:none'>",
        "|<b style=display:none>",
        "<b style='display:block'>|", f"<b style='' {HIDDEN}>|", "<b title='display:none'>|",
        f"<img {HIDDEN}>|", f"<svg {HIDDEN}/>|", f"|<svg {HIDDEN}>", f"<svg><g {HIDDEN}></svg>|",
        f"<template><p {HIDDEN}><p {HIDDEN}></template><p>|",
        f"<body {HIDDEN}>|</body>",
        f"<html {HIDDEN}>|</html>", f"<p {HIDDEN}>x<div>|", f"<p {HIDDEN}>x<p>|",
        f"|<p {HIDDEN}>x<b>",
        f"<p {HIDDEN}>x<table>|", f"<li {HIDDEN}>x<li>|", f"|<li {HIDDEN}>x<p>",
        f"|<div {HIDDEN}/>",
        f"<textarea {HIDDEN}></textarea>|", f"|<div {HIDDEN}><div {HIDDEN}></div>x",
        f"<div {HIDDEN}><div {HIDDEN}></div></div>|", f"<div {HIDDEN}>|<a></div>x",
    ],
)  # fmt: skip
def test_it_is_not_inside_of_what_is_not_displayed(html: str) -> None:
    assert_place(html)


@pytest.mark.parametrize(
    "html",
    [
        # what is open in a cell ends with it
        "<table><td><a></td>|", "<table><td><a><td>x|", "<table><tr><td><a><tr>|",
        "<table><td><a></table>|",
        f"<table><td><div {HIDDEN}><tbody>|", "<table><caption><a></caption>|",
        "<table><th><a></tfoot>|",
        "<table><td><table><td><a></table>|", "<table><td>|<a><table><td></td></table>",
        # a cell's end tags don't reach what is outside, or another table's
        "|<a><table><td></a></td></table>", "<table><td>|<a><table></td>", "<table><td>|<a></th>",
        f"|<div {HIDDEN}><table><td></div>", f"|<div {HIDDEN}><table><td><div></table>x",
        f"<div {HIDDEN}><table><td><div></table></div>|", "<td>|<a></table>",
        # rows and cells that are not displayed
        f"<table><td {HIDDEN}></td>|", f"<table><td {HIDDEN}><td>|", f"<table><td>|<td {HIDDEN}>x",
        f"<table><tr {HIDDEN}><td></tr>|", f"<table>|<tr {HIDDEN}><td>x</td>",
        f"<table><tr {HIDDEN}><td><tr>|",
        f"<table><tbody {HIDDEN}><tr></tbody>|", f"<table>|<tbody {HIDDEN}><tr></tr>",
        f"<table {HIDDEN}></table>|",
        f"|<table {HIDDEN}><td>x",
    ],
)  # fmt: skip
def test_cells_keep_what_is_open_in_them(html: str) -> None:
    assert_place(html)


def test_many_open_elements_take_no_longer_than_as_many_closed_ones() -> None:
    for depth in (100, 10_000):
        opened = b"<div style=display:none><table><td>" * depth
        closed = opened + b"</td></table></div>" * depth
        assert scan_html(opened, decode=bytes.decode).pixel == 0
        assert scan_html(closed, decode=bytes.decode).pixel == len(closed)


def assert_place(html: str) -> None:
    found = scan_html(html.replace("|", "").encode(), decode=bytes.decode)
    assert found.pixel == html.index("|")
