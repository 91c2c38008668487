use std::ops::Range;

use super::laws::{Constant, URL, check, render, undo, write};
use super::*;
use crate::mime::entity::{self, Role};
use crate::mime::header::Section;
use crate::mime::{base64, quoted_printable};
use proptest::prelude::*;

fn any_tracking() -> impl Strategy<Value = Tracking> {
    any::<[bool; 3]>().prop_map(|[clicks, opens, initial_opens]| Tracking {
        clicks,
        opens,
        initial_opens,
    })
}

/// Markup and text as senders write it, and what is in the way.
const PIECES: &[&str] = &[
    "<a href=\"http://e.com/?a=1&amp;b\">",
    "<a data-msys-linkname='x' href='http://e.com' data-msys-unsubscribe=1\n data-msys-sublink=y>",
    "<a\ndata-msys-clicktrack=\"0\"b href=http://e.com/>",
    "<!--[if mso]><v:rect href='http://e.com'\ndata-msys-linkname=x></v:rect><![endif]-->",
    "<!--[if !mso]><!-->",
    "<v:oval href='http://e.com'>",
    "<noscript><a href=http://e.com/></noscript>",
    "http://e.com/x. ",
    "(https://e.com)",
    "http://e.com[[data-msys-clicktrack=\"0\"]]",
    "http://e.com[[data-msys-sublink=\"y\"]]\n",
    "<http://e.com/>",
    "<html>",
    "<body class=x>",
    "</body>",
    "</html>",
    "<!--",
    "-->",
    "\n",
    "\n",
    " ",
    "text",
    "\u{e9}",
    "<a href=",
    "'",
    "\"",
    ">",
    "-",
    "--",
    "--b",
    "<textarea>",
    "{{x}}",
    "averylongwordthatmakeslinestoolongforanyencodingthatlimitsthem",
];

/// What means something to MIME alone.
const MIME: &[&str] = &[
    "=\n",
    "=\r\n",
    "=20",
    "=3D",
    " \n",
    "\r\n",
    "--b\n",
    "--b--\n",
    "Content-Type: text/html\n\n",
    "--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n",
    "--b\nContent-Type: text/plain\n\n",
    "PGEgaHJlZj0n",
    "aHR0cDovL2UuY29tJz4=",
];

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![
        "Content-Type: text/html\n",
        "X-MSYS-API: {}\nContent-Type: text/html; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n",
        "Content-Type: text/html\nContent-Transfer-Encoding: base64\n",
        "Content-Type: text/plain\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "DKIM-Signature: v=1\nContent-Type: multipart/mixed; boundary=b\n",
        "Content-Type: multipart/alternative; boundary=b\n",
    ]);
    let piece = prop::sample::select([PIECES, MIME].concat());
    (head, prop::collection::vec(piece, 0..60))
        .prop_map(|(head, pieces)| format!("{head}\n{}", pieces.concat()).into_bytes())
}

/// Lines of a header section that is not over yet: fields, continuations, and what is neither.
const HEADER_LINES: &[&str] = &[
    "Bcc: a@e.com,", "bCC\t:", "Bcc:", "X-MSYS-API: {}", "To: Bcc: b@e.com", "Subject: x",
    " c@e.com,", "\td@e.com", " Bcc: e@e.com", "  ", "no colon", "Bcc", ": no name", "a b: c",
    "\u{e9}: c", "From jo@e.com Mon Jan  1 00:00:00 2024", ">From jo@e.com",
];

fn any_header() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        9 => prop::sample::select(HEADER_LINES).prop_map(str::to_owned),
        1 => prop::sample::select(HEADER_LINES).prop_map(|line| line.to_owned() + &"x".repeat(2_000)),
    ];
    let line = (line, prop::sample::select(vec!["\r\n", "\n"]));
    prop::collection::vec(line.prop_map(|(line, eol)| line + eol), 0..20)
}

/// The lines of a header section that are not `Bcc`'s.
fn without_bcc(header: &[String]) -> String {
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    let mut in_bcc = false;
    let is_kept = |line: &&String| {
        let name = line.split_once(':').map(|(name, _)| name.trim_end());
        let name = name.filter(is_name);
        if let Some(name) = name {
            in_bcc = name.eq_ignore_ascii_case("bcc");
        }
        !in_bcc || (name.is_none() && !line.starts_with([' ', '\t']))
    };
    header.iter().filter(is_kept).map(String::as_str).collect()
}

fn parts(message: &[u8]) -> Vec<BodyPart> {
    entity::parts(message, &Section::parse_message(message))
}

proptest! {
    #[test]
    fn a_dropped_field_goes_with_all_its_lines_and_nothing_else_goes(
        header in any_header(), end in prop::sample::select(vec!["", "\n Bcc: body", "\r\nBcc: body"]),
    ) {
        let message = header.concat() + end;
        let plan = Plan::new(message.as_bytes(), &Rules::default(), &[b"Bcc"]);
        let rendering = plan.render(&mut Constant(Tracking::default()), &[]).unwrap();
        let out = write(&plan, &rendering);
        prop_assert_eq!(str::from_utf8(&out), Ok(&*(without_bcc(&header) + end)));
        prop_assert_eq!(undo(&out, message.as_bytes(), rendering.applied()), message.as_bytes());
    }

    #[test]
    fn a_copy_is_its_message_but_for_the_edits(message in any_message(), tracking in any_tracking()) {
        let rules = Rules { signed_mail: SignedMail::Strip, ..Rules::default() };
        check(&rules, &message, tracking, URL);
    }
}

/// A part's text in each transfer encoding, and the way back.
pub(super) fn in_each_encoding(kind: &str, text: &str) -> [Vec<u8>; 3] {
    let head = |encoding| {
        format!("Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n").into_bytes()
    };
    let mut quoted = head("quoted-printable");
    quoted_printable::Writer::new(&mut quoted, 0, b"\n").text(text.as_bytes());
    let mut encoded = head("base64");
    let layout = base64::Layout { start: 0, column: 0, line_length: 72, end: 0 };
    let start = encoded.len();
    encoded.resize(start + layout.encoded_len(text.len(), b"\n"), 0);
    base64::encode([text.as_bytes()], text.len(), &layout, b"\n", &mut encoded[start..]).unwrap();
    [[head("8bit"), text.as_bytes().to_vec()].concat(), quoted, encoded]
}

pub(super) fn decode_part(message: &[u8], role: Role) -> String {
    let part = parts(message).into_iter().find(|part| part.role == Some(role)).unwrap();
    let raw = &message[part.body];
    let bytes = match part.transfer_encoding.as_str() {
        "8bit" => raw.to_vec(),
        "base64" => base64::decode(raw).unwrap().bytes,
        _ => quoted_printable::Decoded::decode(raw, 0).bytes,
    };
    String::from_utf8(bytes).unwrap()
}

/// Beside what looks like a boundary less is changed, and an encoding may hide its look.
fn pieces_without_dashes() -> Vec<&'static str> {
    PIECES.iter().copied().filter(|piece| !piece.starts_with('-')).collect()
}

proptest! {
    #[test]
    fn a_transfer_encoding_changes_nothing_of_what_is_read(
        pieces in prop::collection::vec(prop::sample::select(pieces_without_dashes()), 0..20),
        tracking in any_tracking(),
        role in prop::sample::select(vec![Role::Html, Role::Text]),
    ) {
        let text = format!("x\n{}\n", pieces.concat());
        let kind = if role == Role::Html { "text/html" } else { "text/plain" };
        let copies = in_each_encoding(&format!("{kind}; charset=utf-8"), &text)
            .map(|message| decode_part(&render(&message, tracking).0, role));
        prop_assert_eq!(&copies[0], &copies[1]);
        prop_assert_eq!(&copies[0], &copies[2]);
    }
}

/// HTML in which links stand close together and lines are nearly full.
fn minified_html() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "<a href='http://e.com/'>",
        "<a class=b href=http://e.com/>",
        "<a/href=http://e.com/>",
        "<a title='b'href='http://e.com/'>",
        "<a\nhref='http://e.com/'>",
        "<a href='\nhttp://e.com/'>",
        "<a data-msys-linkname=x href=http://e.com/ id=b>",
        "<a data-msys-linkname='\n' href=http://e.com/>",
        "<a\n--b href='http://e.com/'>",
        "<!--[if mso]><v:rect href='http://e.com/'></v:rect><![endif]-->",
        "<body>",
        "\n",
    ]);
    let filler = prop_oneof![0_usize..60, 0_usize..400, 900_usize..1_000];
    prop::collection::vec((tag, filler), 1..40).prop_map(|pieces| {
        pieces.into_iter().map(|(tag, filler)| tag.to_owned() + &"y".repeat(filler)).collect()
    })
}

fn targets(message: &[u8]) -> Vec<String> {
    let plan = Plan::new(message, &Rules::default(), &[]);
    plan.links.iter().map(|planned| planned.link.target.clone()).collect()
}

proptest! {
    #[test]
    fn a_broken_line_loses_no_link_and_changes_no_document(
        html in minified_html(), tracking in any_tracking(),
    ) {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n";
        let message = format!("{head}{html}\n--b--\n");
        let copy = |fold_long_lines| {
            let rules = Rules { fold_long_lines, ..Rules::default() };
            let plan = Plan::new(message.as_bytes(), &rules, &[]);
            let rendering = plan.render(&mut Constant(tracking), &[]).unwrap();
            (write(&plan, &rendering), rendering)
        };
        let ((unfolded, without), (folded, with)) = (copy(false), copy(true));
        check(&Rules::default(), message.as_bytes(), tracking, URL);
        prop_assert_eq!(undo(&folded, message.as_bytes(), with.applied()), message.as_bytes());
        // A break goes before all of an href of two lines, which then takes room on its second one.
        let two_lines = html.matches("href='\n").count();
        prop_assert!(with.links + two_lines >= without.links);
        prop_assert_eq!(with.pixels, without.pixels);
        prop_assert_eq!(targets(&folded).len(), targets(&unfolded).len());
        // But for the breaks, each edit is one that is made without them or wraps a link more.
        let source = |at: &Range<usize>| message.as_bytes().get(at.clone()).unwrap();
        for edit in with.applied() {
            if without.applied().iter().all(|other| other.source != edit.source) {
                let text = &folded[edit.rendered.clone()];
                let breaks = text == b"\n"
                    && source(&edit.source) == b" "
                    && folded[edit.rendered.end..].starts_with(b"href=");
                prop_assert!(breaks || text == URL.as_bytes());
            }
        }
    }
}
