use super::laws::{charset, check as assert_like_the_plan, plan, stream, tracker};
use super::*;
use crate::token::laws::engagement;
use proptest::prelude::*;

#[test]
fn each_way_to_cut_a_small_document_gives_what_the_plan_gives() {
    for html in [
        "<body>\n<a href='http://e/'>x</a></body>",
        "<a href=http://e/",
        "<!--[if mso]><a href=http://e/><![endif]--></body",
        "<title></a></title>\r\n<a href=http://e/>",
        "<script><!--<script></script>--></script><a href=http://e/>",
        "<svg><![CDATA[>]]></svg><a href=http://e/></html>x",
        "x<!--->y<!-- -- --!>z</ ></body><p></body>t",
        "<body><body><a data-msys-linkname=x href='http://e/'>",
        "<p style='display:none'>x</body>y</p>\n",
        "\r\n<body>",
        "<",
        "",
    ] {
        let html = html.as_bytes();
        // Two cuts everywhere, and one byte at a time.
        for first in 0..=html.len() {
            for second in first..=html.len() {
                let chunks = [&html[..first], &html[first..second], &html[second..]];
                assert_like_the_plan(html, &chunks, &Rules::default(), &engagement());
            }
        }
        let bytes: Vec<_> = html.chunks(1).collect();
        assert_like_the_plan(html, &bytes, &Rules::default(), &engagement());
    }
}

#[test]
fn a_link_is_held_until_its_text_is_known() {
    let rules = Rules { spare_url_text: true, foreign_opt_outs: true, ..Rules::default() };
    for html in [
        "<a href='http://e/'>www.e</a><a href='http://e/'>x</a></body>",
        "<a href='http://e/'> <b>www</b>.e &#46<a href='http://e/' data-msys-linkname=x>www.e",
        "<!--[if mso]><a href=http://e/>www.e<![endif]--><a clicktracking=off href=http://e/>w",
        "<svg><a xlink:href=http://e/>www.e</a><a xlink:href=http://e/>e</a></svg>",
    ] {
        let html = html.as_bytes();
        for cut in 0..=html.len() {
            assert_like_the_plan(html, &[&html[..cut], &html[cut..]], &rules, &engagement());
        }
        let bytes: Vec<_> = html.chunks(1).collect();
        assert_like_the_plan(html, &bytes, &rules, &engagement());
    }
    let long = "<img src=x>".repeat(100_000);
    let html = format!("<a href='http://e/'>{long}</a>");
    let bytes: Vec<_> = html.as_bytes().chunks(7).collect();
    let (streamed, _) = stream(&bytes, &rules, &engagement());
    assert!(streamed.starts_with(b"<a href='https://t.test/f/a/"));
}

#[test]
fn all_chunkings_of_tiny_documents_give_what_the_plan_gives() {
    for html in ["<body>\n</b", "<a href=h>", "<!---->\n<b"] {
        let html = html.as_bytes();
        for cuts in 0..1_u32 << (html.len() - 1) {
            let mut chunks = Vec::new();
            let mut start = 0;
            for at in 1..=html.len() {
                if at == html.len() || cuts >> (at - 1) & 1 == 1 {
                    chunks.push(&html[start..at]);
                    start = at;
                }
            }
            assert_like_the_plan(html, &chunks, &Rules::default(), &engagement());
        }
    }
}

fn any_piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<a href=http://e/>",
        "<a href='http://e/' ",
        "</a>",
        "<area href=mailto:x>",
        "<v:rect href=\"http://e/\">",
        "<!--[if mso]>",
        "<![endif]-->",
        "<!--",
        "-->",
        "--!>",
        "<",
        ">",
        "'",
        "\"",
        "/",
        " ",
        "x",
        "\r\n",
        "\n",
        "<p title=",
        "<script>",
        "</script>",
        "<style>",
        "</style>",
        "<title>",
        "</title>",
        "=",
        " data-msys-linkname=x",
        "</",
        "<!doctype html>",
        "<textarea>",
        "</textarea",
        "<svg>",
        "</svg>",
        "<![CDATA[",
        "]]>",
        "<select>",
        "<body>",
        "<body ",
        "</body>",
        "</body>",
        "</html>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
        "<div style='display:none'>",
        "</div>",
        "<p style=display:none>",
        "<math>",
        "<noscript>",
        "</noscript>",
        "<template>",
        "</template>",
        "<plaintext>",
        "<a href='http://e/long/path?with=a&amp;query=of&amp;some=length'>x</a>",
    ])
}

fn any_engagement() -> impl Strategy<Value = Engagement> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(opens, clicks, initial)| Engagement {
        open_tracking: opens,
        click_tracking: clicks,
        initial_pixel: initial,
        ..engagement()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_what_the_plan_gives(
        pieces in prop::collection::vec(any_piece(), 0..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        engagement in any_engagement(),
        outlook_links in any::<bool>(),
        keep_link_attributes in any::<bool>(),
        placeholder in prop::sample::select(vec!["", "x", "<!--", "http://e/", "</a>", "><", "y>"]),
    ) {
        let html = pieces.concat().into_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(html.len() + 1)).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut start = 0;
        for cut in cuts {
            chunks.push(&html[start..cut]);
            start = cut;
        }
        chunks.push(&html[start..]);
        let pixel_placeholder = Some(placeholder.to_owned());
        let rules = Rules {
            outlook_links, keep_link_attributes, pixel_placeholder, ..Rules::default()
        };
        assert_like_the_plan(&html, &chunks, &rules, &engagement);
        let bytes: Vec<_> = html.chunks(1).collect();
        assert_like_the_plan(&html, &bytes, &rules, &engagement);
    }
}

/// The document with `|` where a pixel went.
fn pixel_of(html: &str) -> String {
    let engagement = Engagement { click_tracking: false, initial_pixel: false, ..engagement() };
    let chunks: Vec<_> = html.as_bytes().chunks(1 << 16).collect();
    let (out, progress) = stream(&chunks, &Rules::default(), &engagement);
    assert_eq!(progress.pixels, 1);
    let out = String::from_utf8(out).unwrap();
    let start = out.find("\r\n<img border").unwrap();
    let end = start + out[start..].find("\">\r\n").unwrap() + "\">\r\n".len();
    format!("{}|{}", &out[..start], &out[end..])
}

#[test]
fn what_is_too_long_to_be_held_back_goes_on_without_it() {
    let long = "x".repeat(2 * (MAX_HELD + MAX_TOKEN + SLICE));
    for (html, is_like_the_plan) in [
        (format!("<body>|</body>{long}"), true),
        (format!("<body><a href=x>{long}|</body>"), false),
        (format!("<body><div style='display:none'>{long}|<a href=x>y</body>"), false),
        (format!("<body>|</body>{long}</body>"), false),
        (format!("<body>{long}|<a href=x>{}</body>", &long[..MAX_HELD / 2]), true),
    ] {
        let source = html.replace('|', "");
        assert!(pixel_of(&source) == html, "{}", &html[html.len() - 40..]);
        let tracks_opens =
            Engagement { click_tracking: false, initial_pixel: false, ..engagement() };
        let planned = plan(source.as_bytes(), &Rules::default(), &tracks_opens).0;
        let streamed = stream(&[source.as_bytes()], &Rules::default(), &tracks_opens).0;
        assert_eq!(planned == streamed, is_like_the_plan);
    }
}

#[test]
fn a_pixel_at_the_top_waits_for_the_first_line_break_only_so_long() {
    let long = "x".repeat(2 * (MAX_HELD + MAX_TOKEN + SLICE));
    let engagement = engagement();
    let (out, progress) =
        stream(&[format!("<body>{long}\n</body>").as_bytes()], &Rules::default(), &engagement);
    assert_eq!(progress.pixels, 2);
    assert!(out.starts_with(b"<body>\r\n<div"));
    assert!(out.ends_with(b"\">\n</body>") || out.ends_with(b"\">\r\n</body>"));
}

#[test]
fn a_token_too_long_to_be_held_is_passed_over_with_its_reason() {
    let long = "x".repeat(4 * MAX_TOKEN);
    for html in [
        format!("<a title='>{long}' href=http://e/1><a href=http://e/>y"),
        format!("<a title=\"{long}\" {long} a={long}/{long}><a href=http://e/>y"),
        format!("<!--[if mso]>{long}<a href=http://e/1><![endif]--><a href=http://e/>y"),
        format!("<!--{long}<a href=http://e/1>--><a href=http://e/>y"),
        format!("<?{long}><a href=http://e/>y"),
        format!("</p {long}><a href=http://e/>y"),
        format!("<img src='{long}'><a href=http://e/>y"),
        format!("<style title='{long}'><a href=http://e/1></style><a href=http://e/>y"),
        format!("<{long}><a href=http://e/>y"),
    ] {
        for size in [1 << 10, 1 << 16, usize::MAX] {
            let chunks: Vec<_> = html.as_bytes().chunks(size.min(html.len())).collect();
            let (out, progress) = stream(&chunks, &Rules::default(), &engagement());
            let out = String::from_utf8(out).unwrap();
            assert_eq!(progress.wrapped_links, 1);
            assert!(out.starts_with(&html[..4 * MAX_TOKEN]));
            assert_eq!(out.matches("http://e/1").count(), html.matches("http://e/1").count());
            // A link, or a comment that may hold some.
            let passed_over = html.starts_with("<a") || html.starts_with("<!--[");
            let reasons = [(Reason::HtmlLimit, 1), (Reason::NoInitialPixelPlace, 1)];
            assert!(progress.reasons.starts_with(&reasons[usize::from(!passed_over)..]));
        }
    }
}

#[test]
fn what_stays_is_counted_and_not_all_listed() {
    let html =
        "<a href=mailto:x>".repeat(5_000) + &format!("<a href={}>", "x".repeat(10_000)).repeat(20);
    let (_, progress) = stream(&[html.as_bytes()], &Rules::default(), &engagement());
    assert_eq!(progress.reasons[0], (Reason::NotHttp, 5_020));
    assert_eq!(progress.left_alone.len(), MAX_LISTED);
    assert_eq!(progress.left_alone[1].at, RawOffset(25)..RawOffset(33));
}

#[test]
fn the_pixel_takes_the_place_of_its_placeholder() {
    let rules = Rules { pixel_placeholder: Some("<!--open-->".into()), ..Rules::default() };
    let long = "<a href=http://e/>x</a>".repeat(5_000);
    let html = format!("<body><a href='<!--open-->'>{long}<!--open-->{long}<!--open--></body>");
    for size in [1 << 10, 1 << 16] {
        let chunks: Vec<_> = html.as_bytes().chunks(size).collect();
        assert_like_the_plan(html.as_bytes(), &chunks, &rules, &engagement());
    }
    let (out, progress) = stream(&[html.as_bytes()], &rules, &engagement());
    assert_eq!(progress.pixels, 2);
    assert!(String::from_utf8(out).unwrap().contains("x</a><img border"));
}

#[test]
fn after_giving_up_the_rest_passes_as_it_is() {
    let ((keys, urls), engagement) = (tracker(), engagement());
    let sealing = Sealing { keys: &keys, engagement: &engagement, urls: &urls };
    let mut stream = HtmlStream::new(charset(), Rules::default(), &engagement);
    let mut out = Vec::new();
    stream.write(b"x<a href=ht", &sealing, &mut out);
    stream.give_up(Reason::CoreFailure, &mut out);
    stream.write(b"tp://e/>", &sealing, &mut out);
    stream.end(&sealing, &mut out);
    assert_eq!(out, b"x<a href=http://e/>");
    assert_eq!(stream.progress().reasons, [(Reason::CoreFailure, 1)]);
    assert_eq!(stream.progress().left_alone[0].at, RawOffset(1)..RawOffset(1));
}

#[test]
fn a_document_with_utf_16_s_mark_passes_however_it_is_cut() {
    for mark in [b"\xfe\xff", b"\xff\xfe"] {
        let html = [mark.as_slice(), b"<a href=http://e.com/>x</a>"].concat();
        let chunks: Vec<_> = html.chunks(1).collect();
        for chunks in [vec![html.as_slice()], chunks] {
            assert_like_the_plan(&html, &chunks, &Rules::default(), &engagement());
            let (out, progress) = stream(&chunks, &Rules::default(), &engagement());
            assert_eq!(out, html);
            assert_eq!(progress.reasons, [(Reason::UnsupportedCharset, 1)]);
        }
    }
    assert_like_the_plan(b"\xfe", &[b"\xfe"], &Rules::default(), &engagement());
}
