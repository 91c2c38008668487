use super::found::HtmlScan;
use super::laws::{check, judge};
use super::reader::scan;
use crate::charset::Charset;
use crate::edit::PartOffset;
use crate::link::{Link, Place};
use crate::reason::Reason;
use proptest::prelude::*;

/// What is found, by the judgement of `lol_html` too.
fn scan_html(html: &str) -> HtmlScan {
    check(html.as_bytes(), Charset::for_label(Some("utf-8")).unwrap())
}

fn wrappable(html: &str) -> impl Iterator<Item = Link> {
    scan_html(html).links.into_iter().filter(|link| link.reason.is_none())
}

fn targets(html: &str) -> Vec<String> {
    wrappable(html).map(|link| link.target).collect()
}

/// The document with `|` where the pixel goes.
fn pixel(html: &str) -> String {
    let mut html = html.to_owned();
    if let Some(PartOffset(at)) = scan_html(&html).pixel {
        html.insert(at, '|');
    }
    html
}

#[test]
fn every_way_to_write_a_link_is_found() {
    for html in [
        r#"<a href="http://e.com/x">"#,
        "<a href='http://e.com/x'>",
        "<a href=http://e.com/x>",
        "<A  HREF\n=\n'http://e.com/x'\tclass=b >",
        "<a/href=http://e.com/x>",
        "<area shape=rect href=http://e.com/x>",
        "<a title='>' href=\"http://e.com/x\">",
        "<svg><a href='http://e.com/x'>",
    ] {
        assert_eq!(targets(html), ["http://e.com/x"], "{html}");
    }
}

#[test]
fn the_range_is_the_value_without_its_quotes() {
    let html = r#"<a class=b href="http://e.com/">"#;
    let link = &scan_html(html).links[0];
    assert_eq!(&html[link.href.start.0..link.href.end.0], "http://e.com/");
}

#[test]
fn the_fold_point_is_the_white_space_right_before_the_name() {
    for (html, fold) in [
        ("<a href=x>", Some(2)),
        ("<a class=b  href=x>", Some(11)),
        ("<a\nhref=x>", Some(2)),
        ("<a/href=x>", None),
        ("<a class='b'href=x>", None),
        ("<!--[if mso]><a id=x href=x><![endif]-->", Some(20)),
        ("<svg><a href=x>", Some(7)),
    ] {
        assert_eq!(scan_html(html).links[0].fold, fold.map(PartOffset), "{html}");
    }
}

#[test]
fn an_end_tag_in_a_value_is_a_piece_of_the_value() {
    for end in ["</body", "</html", "</BODY/", "</body</html</body"] {
        let target = format!("http://e.com/x{end}");
        for html in [
            format!("<a href={target}>"),
            format!("<a title={end} href='{target}'>"),
            format!("<a {end} href={target} ><p x{end}>"),
            format!("<body><a href={target}>x</body></html>"),
        ] {
            assert_eq!(targets(&html), [target.as_str()], "{html}");
        }
    }
}

#[test]
fn the_first_of_two_hrefs_counts() {
    assert_eq!(targets("<a href=http://one/ href=http://two/>"), ["http://one/"]);
    assert_eq!(targets("<a href href=http://two/>"), [""; 0]);
}

#[test]
fn what_is_no_link_in_a_mail_is_not_touched() {
    for html in [
        "<link href=http://e.com/><base href=http://e.com/>",
        "<form action=http://e.com/><img src=http://e.com/>",
        "<abbr href=http://e.com/><a-b href=http://e.com/><a:b href=http://e.com/>",
        "<a data-href=http://e.com/ xlink:href=http://e.com/>",
        "<!-- <a href=http://e.com/> -->",
        "<script><a href=http://e.com/></script>",
        "<style><a href=http://e.com/></style>",
        "<textarea><a href=http://e.com/></textarea>",
        "<title><a href=http://e.com/></title>",
        "<p title='<a href=http://e.com/>'>",
        "<a href=http://e.com/",
        "<p><a href='http://e.com/' ",
        "<body></body><a href='http://e.com/' ",
    ] {
        assert_eq!(scan_html(html).links, [], "{html}");
    }
}

#[test]
fn a_link_of_svg_has_either_attribute() {
    for (html, target) in [
        ("<svg><a href=http://e/1>", Some("http://e/1")),
        ("<svg><a XLink:HREF='http://e/1'>", Some("http://e/1")),
        ("<svg><a xlink:href=http://e/2 href=http://e/1>", Some("http://e/1")),
        ("<svg><a xlink:href=http://e/1 xlink:href=http://e/2>", Some("http://e/1")),
        ("<svg><a href xlink:href=http://e/2>", None),
        ("<svg><g><a data-msys-linkname=x xlink:href=http://e/1>", Some("http://e/1")),
        ("<svg><foreignObject><a xlink:href=http://e/2>", None),
        ("<svg><foreignObject><svg><a xlink:href=http://e/1>", Some("http://e/1")),
        ("<svg><p><a xlink:href=http://e/2>", None),
        ("<svg></svg><a xlink:href=http://e/2>", None),
        ("<svg><area xlink:href=http://e/2>", None),
        ("<math><a xlink:href=http://e/2>", None),
        ("<a xlink:href=http://e/2>", None),
        ("<!--[if mso]><svg><a xlink:href=http://e/1><![endif]-->", Some("http://e/1")),
    ] {
        assert_eq!(targets(html).first().map(String::as_str), target, "{html}");
    }
    let html = "<svg><a\txlink:href='http://e/'>";
    let link = &scan_html(html).links[0];
    assert_eq!(&html[link.href.start.0..link.href.end.0], "http://e/");
    assert_eq!(link.fold, Some(PartOffset(7)));
}

#[test]
fn a_link_left_alone_has_its_reason() {
    let html = "<a href='#top'><a href=mailto:a@b.c><a href='http://'>\
                <a href=http://e.com/ data-msys-clicktrack=\"0\">";
    let reasons: Vec<_> = scan_html(html).links.iter().filter_map(|link| link.reason).collect();
    assert_eq!(reasons, [Reason::NotHttp, Reason::NotHttp, Reason::NoHost, Reason::OptedOut]);
}

#[test]
fn a_link_name_is_decoded() {
    let html = "<a data-msys-linkname='a&amp;é' href=http://e.com/>";
    assert_eq!(scan_html(html).links[0].name.as_deref(), Some("a&é"));
}

#[test]
fn the_pixel_goes_before_the_last_body_end_tag() {
    for html in [
        "<html><body>x|</body></html>",
        "<body>x|</BODY\n>",
        "x|</body x='>'>tail",
        "<body>x</body></body>y|</body></html>",
        "<body>x|</body><!-- </body> --></html>",
        "<body>x|</body></html><script>'</body>'</script>",
        "<body><p title='</body>'>x|</body>",
        "<!--[if mso]></body><![endif]-->x|</body>",
    ] {
        assert_eq!(pixel(&html.replace('|', "")), html);
    }
}

#[test]
fn without_a_body_end_tag_it_goes_before_html_s_or_at_the_end() {
    for html in ["<html>x|</html>", "<p>x|", "|", "x</bodyx>|", "<html>x<!-- </body> -->|</html>"]
    {
        assert_eq!(pixel(&html.replace('|', "")), html);
    }
}

#[test]
fn where_the_document_ends_in_no_markup_there_is_no_pixel() {
    for html in [
        "x<!-- ", "x<textarea>", "x<a href='", "x<a ", "x<script></body>", "x<body>x</body",
        "x<body>x</body ", "x</html x='",
    ] {
        assert_eq!(scan_html(html).pixel, None, "{html}");
    }
}

#[test]
fn the_pixel_goes_before_what_would_hide_it() {
    for html in [
        "<body>x|<a href=y>z</body>",
        "<body><a href=y>z</a>x|</body>",
        "<body><a href=y>|<a href=y>z</body>",
        "<body>|<div style='display:none'>x<div></div></body>",
        "<body><div style='display:none'>x<div></div></div>|</body>",
        "<body>|<div style='color:red; DISPLAY : \n none !important'></body>",
        "<body>|<div style='dis&#112;lay:none'></body>",
        "<body><div style='display:block;mso-hide:none'>|</body>",
        "<body><img style='display:none'><br style=display:none>|</body>",
        "<body>|<select><option>x</body>",
        "<body><select><option>x<input>|</body>",
        "<body><select><option>x<select>|</body>",
        "<body>|<noscript><p></body>",
        "<body>|<template><a></body>",
        "<body><template><a></template>|</body>",
        "<a href=x><body>x|</body>",
        "|<a href=x>x",
        "x<p style=display:none>y<div></div>|",
        "<ul><li style=display:none>x<li>y|",
        "<ul>|<li style=display:none>x",
        "<table><tr><td><a href=x></td></tr></table>|</body>",
        "<table><tr><td><a href=x><tr><td>|</body>",
        "<table><tr><td>|<a href=x><table><tr><td></a>x</body>",
        "<table><tr style=display:none><td>x<tr><td>|</body>",
        "<table>|<tr style=display:none><td>x</body>",
        "<table><tr><td style=display:none>x<td>|</body>",
        "<table><tbody style='display:none'><tr><td>x</tbody><tr><td>|</body>",
        "<table style=display:none><tr><td>x</table>|</body>",
        "<table><caption style=display:none>x<tr><td>|</body>",
        "<svg><path style='display:none'/></svg>|</body>",
        "<body>x|<svg><a href=x></body>",
        "<body><svg><a href=x></svg>x|</body>",
        "<body><math><svg></math>x|</body>",
        "<svg style='display:none'><a/></svg>|</body>",
        "|<svg style='display:none'><svg></svg></body>",
        "<body>x|<a href=y></html>z",
        "<body>x</body><a href=y>|</body>",
    ] {
        let html = html.replacen("<body>x</body><a href=y>|", "<body>x</body>|<a href=y>", 1);
        assert_eq!(pixel(&html.replace('|', "")), html);
    }
}

#[test]
fn deep_nesting_is_not_followed_without_end() {
    let html = format!("<body>{}</body>", "<table><tr><td>".repeat(100_000));
    assert_eq!(
        scan(html.as_bytes(), Charset::for_label(None).unwrap()).pixel,
        Some(PartOffset(html.len() - 7))
    );
    let html = format!("<body>{}</body>", "<svg><g>".repeat(100_000));
    assert_eq!(
        scan(html.as_bytes(), Charset::for_label(None).unwrap()).pixel,
        Some(PartOffset("<body>".len()))
    );
}

#[test]
fn foreign_content_is_read_as_a_browser_reads_it() {
    let link = "<style><a href='http://e/'>";
    for (html, count) in [
        ("<svg>", 1),
        ("<svg/>", 0),
        ("<svg></svg>", 0),
        ("<svg><desc>", 0),
        ("<svg><desc></desc>", 1),
        ("<svg><desc/>", 1),
        ("<svg><desc x=y/>", 0),
        ("<svg><g></p>", 0),
        ("<svg><font>", 1),
        ("<svg><font color=x>", 0),
        ("<math>", 1),
        ("<math><mi>", 0),
        ("<math><annotation-xml>", 1),
        ("<math><annotation-xml encoding='Text/HTML'>", 0),
        ("<math><annotation-xml><svg><desc>", 0),
        ("<svg><title><title></title>", 0),
        ("<![CDATA[ <svg> ]]>", 0),
        ("<svg><![CDATA[ </svg> ]]>", 1),
        ("<svg><desc><![CDATA[ </desc> ]]>", 0),
    ] {
        let html = format!("{html}{link}");
        assert_eq!(scan_html(&html).links.len(), count, "{html}");
    }
}

#[test]
fn lol_html_reads_some_foreign_content_otherwise_than_a_browser() {
    let link = "<style><a href='http://e/'>";
    // docs/decisions/html-readers.md lists them.
    for (html, count) in [
        // One tag ends one element, and not all that is foreign.
        ("<svg><svg><div>", 1),
        ("<math><mrow><svg><desc>", 0),
        ("<math><mi><mglyph>", 0),
    ] {
        let html = format!("{html}{link}");
        assert_eq!(scan_html(&html).links.len(), count, "{html}");
    }
}

#[test]
fn a_tree_too_deep_to_be_held_loses_no_link() {
    for (start, element, count) in
        [("<svg>", "<g>", 2), ("<math>", "<mrow>", 2), ("<svg><p>", "<div>", 1)]
    {
        let deep = element.repeat(9_000);
        let html = format!("{start}{deep}<a href=http://e/><style><a href=http://e/>");
        assert_eq!(scan_html(&html).links.len(), count, "{start}");
    }
}

#[test]
fn every_charset_that_is_a_superset_of_ascii_is_scanned() {
    for label in ["windows-1252", "shift_jis", "gb18030", "big5", "koi8-r"] {
        let charset = Charset::for_label(Some(label)).unwrap();
        let found = scan(b"\x83\\\xe0<a href='http://e.com/'>", charset);
        assert_eq!(found.links[0].target, "http://e.com/", "{label}");
    }
}

fn places(html: &str) -> Vec<(Place, String)> {
    wrappable(html).map(|link| (link.place, link.target)).collect()
}

fn link(place: Place, target: &str) -> (Place, String) {
    (place, target.to_owned())
}

/// The document without its `data-msys-*` attributes.
fn bare(html: &str) -> String {
    let mut html = html.to_owned();
    for (range, _) in scan_html(&html).attributes.into_iter().rev() {
        html.replace_range(range.start.0..range.end.0, "");
    }
    html
}

#[test]
fn links_in_conditional_comments_are_outlook_s() {
    let html = "<a href=http://e/1>\
        <!--[if mso]><v:roundrect href=\"http://e/2\" style='x'><w:anchorlock/></v:roundrect>\
        <A HREF='http://e/3'>x</a><area href=http://e/4><![endif]-->\
        <!--[if !mso]><!--><a href=http://e/5><!--<![endif]-->\
        <!--[if (gte mso 9)|(IE)]><a href=http://e/6><![endif]--!><a href=http://e/7></body>";
    let comment = Place::Comment;
    assert_eq!(
        places(html),
        [
            link(Place::Html, "http://e/1"),
            link(comment, "http://e/2"),
            link(comment, "http://e/3"),
            link(comment, "http://e/4"),
            link(Place::Html, "http://e/5"),
            link(comment, "http://e/6"),
            link(Place::Html, "http://e/7"),
        ]
    );
    for found in scan_html(html).links {
        assert_eq!(&html[found.href.start.0..found.href.end.0], found.target);
    }
}

#[test]
fn vml_outside_of_comments_is_outlook_s_too() {
    let html =
        "<v:roundrect href='http://e/1'><v:fill color=x /></v:roundrect><a href=http://e/2>";
    assert_eq!(places(html), [link(Place::Vml, "http://e/1"), link(Place::Html, "http://e/2")]);
}

#[test]
fn mail_clients_run_no_scripts_so_noscript_is_markup() {
    let html = "<NoScript class=x><a href=http://e/1></noscript><a href=http://e/2></body>";
    assert_eq!(places(html), [link(Place::Html, "http://e/1"), link(Place::Html, "http://e/2")]);
    let html = "<!--[if mso]><noscript><a href=http://e/1></noscript><![endif]-->";
    assert_eq!(places(html), [link(Place::Comment, "http://e/1")]);
}

#[test]
fn what_only_looks_like_outlook_s_is_left() {
    for html in [
        "<!-- [if mso]><a href=http://e/><![endif]-->",
        "<!--[iffy]><a href=http://e/><![endif]-->",
        "<!--[if>--><!-- href -->",
        "<!--[if mso]>--><!--<a href=http://e/>-->",
        "<script><!--[if mso]><a href=http://e/><![endif]--></script>",
        "<!-- <!--[if mso]><a href=http://e/><![endif]-->",
        "<p title='<!--[if mso]><a href=http://e/><![endif]-->'>",
        "<style><v:rect href='http://e/'></style>",
        "<title><noscript><a href='http://e/'></noscript></title>",
        "<!--[if mso]><script><a href=http://e/></script><![endif]-->",
        "<!--[if mso]><!-- <a href=http://e/><![endif]-->",
        "<!--[if mso]><a href='http://e/<![endif]-->",
        "<!--[if mso <a href=http://e/",
    ] {
        assert_eq!(scan_html(html).links, [], "{html}");
    }
}

#[test]
fn what_stands_in_no_markup_hides_no_link_that_does() {
    // Read as a tag and a comment, the condition would close the tag that it is in.
    let html = "<p title=<!--[if mso]><a href=http://e/1><p class=x--><a href=http://e/2></body>";
    assert_eq!(targets(html), ["http://e/1", "http://e/2"]);
    let html = "<style><!--[if mso]>href<![endif]--></style><!--[if mso]><a href=http://e/1>-->";
    assert_eq!(places(html), [link(Place::Comment, "http://e/1")]);
    assert_eq!(pixel("<style><!--[if mso]>href--></style>x</body>").find('|'), Some(36));
}

#[test]
fn the_first_body_tag_has_the_pixel_at_the_top_behind_it() {
    for (html, at) in [
        ("<html><BODY\nclass='>'>x<body>", Some(22)),
        ("<!-- <body> --><script>'<body>'</script>", None),
        ("<bodyguard><body", None),
        ("<!--[if mso]><body href><![endif]-->", None),
    ] {
        assert_eq!(scan_html(html).initial_pixel, at.map(PartOffset), "{html}");
    }
}

#[test]
fn our_attributes_go_with_the_white_space_before_them() {
    for (html, without) in [
        ("<a data-msys-linkname=x>", "<a>"),
        ("<a data-msys-linkname='x' href=y>", "<a href=y>"),
        ("<A href=y \n\tDATA-MSYS-Unsubscribe = \"1\"  >", "<A href=y  >"),
        ("<area data-msys-sublink data-msys-clicktrack=0 alt>", "<area alt>"),
        ("<a data-msys-linkname= >", "<a >"),
        ("<a data-msys-linkname = >", "<a >"),
        ("<a data-msys-linkname=\"\">", "<a>"),
        ("<a href=x data-msys-linkname='y'class=z>", "<a href=x class=z>"),
        ("<a href=x data-msys-linkname=\"y\"/>", "<a href=x />"),
        ("<a/data-msys-linkname=\"y\"class=z>", "<a/class=z>"),
        ("<a data-msys-linkname=y data-msys-linkname=z>", "<a>"),
        (
            "<a data-msys-other=1 xdata-msys-linkname=2>",
            "<a data-msys-other=1 xdata-msys-linkname=2>",
        ),
        ("<p data-msys-linkname=x>", "<p data-msys-linkname=x>"),
        (
            "<!--[if mso]><v:rect data-msys-linkname=x href='y'><![endif]-->",
            "<!--[if mso]><v:rect href='y'><![endif]-->",
        ),
    ] {
        assert_eq!(bare(html), without);
    }
}

fn any_html() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "<a href=http://e/>", "<a href='http://e/' ", "<A HREF=\"http://e/\">",
        "<area href=http://e/", "<v:rect href=\"http://e/\">", "<v:rect", " href=http://e/",
        "<!--[if mso]>", "<!--[if !mso]><!-->", "<![endif]-->", "<!--", "-->", "--", ">", "<",
        "'", "\"", "/", " ", "x", "<p ", "<p title=", "<script>", "</script>", "<style>",
        "</style>", "<title>", "</title>", "=", "\t", "\0", "\u{e9}", "!", "?",
        " data-msys-linkname=x", "data-msys-linkname", "</p", "</", "<!doctype html>",
        "<textarea>", "</textarea", "<xmp>", "<svg>", "<![CDATA[", "]]>", "<select>", "<body>",
        "</body>", "</html>",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_document_is_read_as_lol_html_reads_it(html in any_html()) {
        scan_html(&html);
    }

    #[test]
    fn well_nested_foreign_content_is_read_as_lol_html_reads_it(
        pieces in prop::collection::vec(0_usize..11, 0..20)
    ) {
        let whole = [
            "<a href='http://e/'>",
            "<v:rect href=\"http://e/\">",
            "<!--[if mso]><v:rect href='http://e/'><a href=http://e/>x</a><![endif]-->",
            "<!--[if !mso]><!--><a href='http://e/'><!--<![endif]-->",
            "<!-- <a href=http://e/> -->",
            "<style>p > a { }</style>",
            "<p title='<!--x-->'>",
            "</body>",
            "<svg><g><a href='http://e/'>x</a><style><a href='http://e/'></style></g></svg>",
            "<svg><foreignObject><title><a href=http://e/></title></foreignObject></svg>",
            "<math><mi><style><a href=http://e/></style></mi><![CDATA[<a href=x>]]></math>",
        ];
        let html: String = pieces.into_iter().map(|piece| whole[piece]).collect();
        let found: Vec<_> = wrappable(&html)
            .map(|link| (link.place, link.href.start.0..link.href.end.0))
            .collect();
        prop_assert_eq!(found, judge(html.as_bytes(), false).links);
    }
}
