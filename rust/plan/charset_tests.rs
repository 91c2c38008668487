use super::laws::{self, URL, render, undo};
use super::*;
use crate::charset::transcoding::Transcoded;
use crate::charset::{Charset, Coding};
use crate::mime::base64::{self, Layout};
use crate::mime::entity;
use crate::mime::header::Section;
use crate::mime::quoted_printable::{Decoded, Writer};
use proptest::prelude::*;

const ALL: Tracking = Tracking { clicks: true, opens: true, initial_opens: true };
const PIXEL: &str = "\r\n<img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"https://t.example/f/a/TO--KEN-\">\r\n";

/// A message of one part.
fn message(media_type: &str, label: &str, transfer_encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "Content-Type: {media_type}; charset=\"{label}\"\r\n\
         Content-Transfer-Encoding: {transfer_encoding}\r\n\r\n"
    )
    .into_bytes();
    match transfer_encoding {
        "base64" => {
            let layout = Layout { start: 0, column: 0, line_length: 76, end: 0 };
            let start = message.len();
            message.resize(start + layout.encoded_len(body.len(), b"\r\n"), 0);
            base64::encode([body], body.len(), &layout, b"\r\n", &mut message[start..]).unwrap();
            message.extend_from_slice(b"\r\n");
        }
        "quoted-printable" => Writer::new(&mut message, 0, b"\r\n").text(body),
        _ => message.extend_from_slice(body),
    }
    message
}

/// The text of the only part, after transfer encoding and charset.
fn text(message: &[u8]) -> String {
    let parts = entity::parts(message, &Section::parse(message, &(0..message.len())));
    let [part] = parts.as_slice() else { panic!("one part: {parts:?}") };
    let raw = &message[part.body.clone()];
    let bytes = match part.transfer_encoding.as_str() {
        "base64" => base64::decode(raw).unwrap().bytes,
        "quoted-printable" => Decoded::decode(raw, 0).bytes,
        _ => raw.to_vec(),
    };
    match Coding::for_label(part.content_type.parameter("charset").as_deref()).unwrap() {
        Coding::Ascii(charset) => charset.decode(&bytes).into_owned(),
        Coding::Transcoded(scheme) => Transcoded::read(&bytes, scheme).unwrap().text,
    }
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn utf32(text: &str, to_bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().map(u32::from).flat_map(to_bytes).collect()
}

/// The same HTML in every charset that is read as UTF-8; `\u{65e5}` is in all of them.
fn encoded(html: &str) -> Vec<(&'static str, Vec<u8>)> {
    let marked = format!("\u{feff}{html}");
    let shifted = |day: &[u8]| {
        let pieces: Vec<&[u8]> = html.split('\u{65e5}').map(str::as_bytes).collect();
        pieces.join(day)
    };
    vec![
        ("utf-16", utf16(&marked, u16::to_le_bytes)),
        ("utf-16", utf16(&marked, u16::to_be_bytes)),
        ("utf-16", utf16(html, u16::to_be_bytes)),
        ("UTF_16LE", utf16(html, u16::to_le_bytes)),
        ("utf-16be", utf16(html, u16::to_be_bytes)),
        ("ISO-10646-UCS-2", utf16(html, u16::to_le_bytes)),
        ("utf-32", utf32(&marked, u32::to_le_bytes)),
        ("utf-32", utf32(html, u32::to_be_bytes)),
        ("utf-32le", utf32(html, u32::to_le_bytes)),
        ("utf-7", shifted(b"+ZeU-")),
        ("hz-gb-2312", shifted(b"~{HU~}")),
        ("iso-2022-jp", shifted(b"\x1b$BF|\x1b(B")),
        ("ISO-2022-JP-2", shifted(b"\x1b$AHU\x1b(J")),
        ("iso-2022-kr", shifted(b"\x0elm\x0f")),
        ("iso-2022-cn", shifted(b"\x1b$)A\x0eHU\x0f")),
    ]
}

#[test]
fn mail_is_tracked_in_every_charset_and_transfer_encoding() {
    let html = "<html><body class=\"\u{65e5}\"><p title='\u{65e5}'>\u{65e5}<a \
        data-msys-linkname='\u{65e5}' href=\"http://e.com/\u{65e5}?a=1&amp;b=2\">\u{65e5}</a>\r\n\
        </body></html>\r\n";
    let tracked = html
        .replace("http://e.com/\u{65e5}?a=1&amp;b=2", URL)
        .replace(" data-msys-linkname='\u{65e5}'", "")
        .replace("</body>", &format!("{PIXEL}</body>"));
    for (label, body) in encoded(html) {
        for transfer_encoding in ["base64", "quoted-printable", "8bit", "binary"] {
            let message = message("text/html", label, transfer_encoding, &body);
            let tracking = Tracking { initial_opens: false, ..ALL };
            let (copy, rendering) = render(&message, tracking);
            let what = format!("{label} in {transfer_encoding}");
            assert_eq!((rendering.links, rendering.pixels), (1, 1), "{what}");
            // A wide line break would be a bare CR on the wire.
            let expected = match transfer_encoding {
                "8bit" | "binary" if body.contains(&0) => {
                    tracked.replace(PIXEL, PIXEL.trim_ascii())
                }
                _ => tracked.clone(),
            };
            assert_eq!(text(&copy), expected, "{what}");
            assert_eq!(undo(&copy, &message, rendering.applied()), message, "{what}");
            let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
            let link = &plan.links[0].link;
            assert_eq!(link.target, "http://e.com/\u{65e5}?a=1&b=2", "{what}");
            assert_eq!(link.name.as_deref(), Some("\u{65e5}"), "{what}");
            if transfer_encoding == "quoted-printable" {
                assert!(copy.split(|byte| *byte == b'\n').all(|line| line.len() <= 77), "{what}");
            }
        }
    }
}

#[test]
fn text_is_tracked_in_every_charset() {
    let written = "\u{65e5}http://e.com/1\u{65e5} http://e.com/2[[data-msys-sublink=\"y\"]]\r\n";
    for (label, body) in encoded(written) {
        let message = message("text/plain", label, "base64", &body);
        let (copy, rendering) = render(&message, ALL);
        assert_eq!(rendering.links, 2, "{label}");
        assert_eq!(text(&copy), format!("\u{65e5}{URL} {URL}\r\n"), "{label}");
        let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
        let targets: Vec<_> = plan.links.iter().map(|link| link.link.target.as_str()).collect();
        assert_eq!(targets, ["http://e.com/1\u{65e5}", "http://e.com/2"], "{label}");
    }
}

#[test]
fn what_looks_like_markup_inside_a_shift_is_text() {
    for (label, body) in [
        ("iso-2022-jp", b"\x1b$B<a href=\x1b(B<b>\x1b$B$\"</body>\x1b(B".as_slice()),
        ("iso-2022-kr", b"\x0e<a href='http://e.com/'>>\x0f"),
        ("hz-gb-2312", b"~{<a href='http://e.com/'>>~}"),
        ("utf-7", b"<p title='+ACc-'>+ADw <b>"),
    ] {
        let message = message("text/html", label, "7bit", body);
        let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
        assert_eq!(plan.links, [], "{label}");
        let (copy, rendering) = render(&message, ALL);
        assert!(copy.ends_with(PIXEL.as_bytes()), "{label}");
        assert_eq!(rendering.pixels, 1, "{label}");
    }
}

#[test]
fn a_link_that_ends_inside_a_shift_is_left_and_so_is_such_an_end_of_the_part() {
    let body = b"http://e.com/\x1b$BF|!#F|\x1b(B http://e.com/\r\n";
    let message_of_text = message("text/plain", "iso-2022-jp", "7bit", body);
    let plan = Plan::new(message_of_text.as_slice(), &Rules::default(), &[]);
    assert_eq!(plan.links.len(), 1);
    let left = plan.left_alone.iter().find(|left| left.target.is_some()).unwrap();
    assert_eq!(left.reason, Reason::UnsupportedCharset);
    assert_eq!(left.target.as_deref(), Some("http://e.com/\u{65e5}"));
    let message = message("text/html", "iso-2022-jp", "7bit", b"<p>\x1b$BF|");
    let (copy, rendering) = render(&message, ALL);
    assert_eq!((copy, rendering.pixels), (message, 0));
}

#[test]
fn ascii_that_is_declared_as_utf_16_is_left() {
    let message = message("text/html", "utf-16", "7bit", b"<a href='http://e.com/'>x</a>");
    let (copy, _) = render(&message, ALL);
    assert_eq!(copy, message);
}

#[test]
fn a_superset_of_ascii_that_only_iana_knows_is_tracked() {
    let body = b"<a href=\"https://a.example/\x82?\x82\">x</a>\r\n";
    let message = message("text/html", "IBM850", "8bit", body);
    let (copy, rendering) = render(&message, Tracking { clicks: true, ..Tracking::default() });
    assert_eq!((text(&copy), rendering.links), (format!("<a href=\"{URL}\">x</a>\r\n"), 1));
    let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
    assert_eq!(plan.links[0].link.target, "https://a.example/\u{e9}?\u{e9}");
}

#[test]
fn a_link_beyond_what_can_be_read_is_left() {
    for (label, unread) in [
        ("euc-tw", b"\xa4\xa4".as_slice()),
        ("iso-2022-jp-3", b"\x1b$(P!!\x1b(B"),
        ("iso-2022-jp-2004", b"\x1b$(QO~\x1b(B"),
        ("iso-2022-cn", b"\x1b$)G\x0eDD\x0f"),
        ("iso-2022-cn-ext", b"\x1b$)E\x0eDD\x0f"),
        ("iso-2022-cn", b"\x1b$*H\x1bNDD"),
    ] {
        let body = [b"<a href=http://e.com/", unread, b"><a href=http://e.com/>", unread, b"</a>"];
        let message = message("text/html", label, "8bit", &body.concat());
        let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
        assert_eq!(plan.links.len(), 1, "{label}");
        let left = plan.left_alone.iter().find(|left| left.target.is_some()).unwrap();
        assert_eq!(left.reason, Reason::UnsupportedCharset, "{label}");
    }
}

#[test]
fn a_malformed_character_of_a_set_that_is_read_is_what_a_browser_reads() {
    let body = b"<a href=http://e.com/\x1b$B~~\x1b(B>x</a>";
    let message = message("text/html", "iso-2022-jp", "7bit", body);
    let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
    assert_eq!(plan.links[0].link.target, "http://e.com/\u{fffd}");
}

#[test]
fn a_query_is_what_a_browser_would_ask_for() {
    for (label, body, target) in [
        ("windows-1252", b"?\xe9".as_slice(), "?%E9"),
        ("koi8-r", b"\xd0?\xd0&#1103;&#233;#\xd0", "\u{43f}?%D0%D1%26%23233%3B#\u{43f}"),
        ("iso-2022-jp", b"?\x1b$BF|\x1b(B&amp;c", "?%1B$BF|%1B(B&c"),
        ("utf-8", b"?\xc3\xa9", "?\u{e9}"),
        ("", b"?\xe9", "?%E9"),
        ("", b"?\xc3\xa9", "?\u{e9}"),
    ] {
        let html = [b"<a href='http://e.com/", body, b"'>"].concat();
        let message_of_html = message("text/html", label, "8bit", &html);
        let plan = Plan::new(message_of_html.as_slice(), &Rules::default(), &[]);
        assert_eq!(plan.links[0].link.target, format!("http://e.com/{target}"), "{label}");
    }
    // What follows a link in a text is the reader's program, which knows characters, not bytes.
    let message = message("text/plain", "windows-1252", "8bit", b"http://e.com/?\xe9");
    let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
    assert_eq!(plan.links[0].link.target, "http://e.com/?\u{e9}");
}

proptest! {
    #[test]
    fn copies_obey_the_laws_in_every_charset(
        html in "[<>/a-z =\"'\u{65e5}\u{e9}\r\n]{0,20}(<a href=\"http://e\\.com/\u{65e5}?\">|</body>|http://e\\.com)?[<>/a-z =\"'\u{65e5}\r\n]{0,20}",
        number in 0_usize..15,
        transfer_encoding in prop::sample::select(vec!["base64", "quoted-printable", "8bit"]),
        media_type in prop::sample::select(vec!["text/html", "text/plain"]),
    ) {
        let (label, body) = encoded(&html).swap_remove(number);
        let message = message(media_type, label, transfer_encoding, &body);
        laws::check(&Rules::default(), &message, ALL, URL);
        prop_assert!(Charset::for_label(Some(label)).is_err());
    }
}
