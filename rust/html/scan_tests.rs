use super::*;

fn scanned(html: &str) -> Scan {
    scan(html.as_bytes(), Charset::for_label(Some("utf-8")).unwrap()).unwrap()
}

fn targets(html: &str) -> Vec<String> {
    scanned(html).links.into_iter().map(|link| link.target).collect()
}

/// The document with `|` where the pixel goes.
fn pixel(html: &str) -> String {
    let mut html = html.to_owned();
    if let Some(PartOffset(at)) = scanned(&html).pixel {
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
    let link = &scanned(html).links[0];
    assert_eq!(&html[link.href.start.0..link.href.end.0], "http://e.com/");
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
    ] {
        assert_eq!(scanned(html).links, [], "{html}");
    }
}

#[test]
fn a_link_left_alone_has_its_reason() {
    let html = "<a href='#top'><a href=mailto:a@b.c><a href='http://'>\
                <a href=http://e.com/ data-msys-clicktrack=\"0\">";
    let reasons: Vec<_> = scanned(html).unwrapped.iter().map(|link| link.reason).collect();
    assert_eq!(reasons, [Reason::NotHttp, Reason::NotHttp, Reason::NoHost, Reason::OptedOut]);
}

#[test]
fn a_link_name_is_decoded_and_cut_at_a_character() {
    let html = format!("<a data-msys-linkname='a&amp;{}' href=http://e.com/>", "é".repeat(40));
    let name = scanned(&html).links[0].name.clone().unwrap();
    assert!(name.starts_with("a&é"));
    assert_eq!(name.len(), 62);
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
    for html in
        ["x<!-- ", "x<textarea>", "x<a href='", "x<a ", "x<script></body>", "x<body>x</body"]
    {
        assert_eq!(scanned(html).pixel, None, "{html}");
    }
}

#[test]
fn a_link_in_a_tag_that_never_ends_is_none() {
    assert_eq!(scanned("<p><a href='http://e.com/' ").links, []);
    assert_eq!(scanned("<body></body><a href='http://e.com/' ").links, []);
}

#[test]
fn every_charset_that_is_a_superset_of_ascii_is_scanned() {
    for label in ["windows-1252", "shift_jis", "gb18030", "big5", "koi8-r"] {
        let charset = Charset::for_label(Some(label)).unwrap();
        let found = scan(b"\x83\\\xe0<a href='http://e.com/'>", charset).unwrap();
        assert_eq!(found.links[0].target, "http://e.com/", "{label}");
    }
}
