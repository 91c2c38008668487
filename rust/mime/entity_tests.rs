use super::*;

fn list_parts(message: &str) -> Vec<BodyPart> {
    let section = Section::parse_message(message.as_bytes());
    parts(message.as_bytes(), &section)
}

fn body(message: &str, role: Role) -> Option<String> {
    let part = list_parts(message).into_iter().find(|part| part.role == Some(role))?;
    Some(message[part.body].to_owned())
}

fn html(message: &str) -> Option<String> {
    body(message, Role::Html)
}

fn reasons(message: &str) -> Vec<Reason> {
    list_parts(message).iter().filter_map(|part| part.reason).collect()
}

fn multipart(kind: &str, parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
    format!(
        "Content-Type: multipart/{kind}; boundary=b\r\n\r\npreamble\r\n{}--b--\r\n",
        parts.concat()
    )
}

const TEXT: &str = "Content-Type: text/plain\r\n\r\ntext";
const HTML: &str = "Content-Type: text/html\r\n\r\n<p>html";

#[test]
fn a_bare_html_message_is_its_own_part() {
    assert_eq!(html("Content-Type: TEXT/HTML\r\n\r\n<p>\r\n").as_deref(), Some("<p>\r\n"));
    assert_eq!(html("Subject: x\r\n\r\n<p>"), None);
}

#[test]
fn html_is_found_in_every_multipart() {
    for kind in ["alternative", "mixed", "parallel", "x-unknown"] {
        assert_eq!(html(&multipart(kind, &[TEXT, HTML])).as_deref(), Some("<p>html"), "{kind}");
    }
    let nested = multipart(
        "mixed",
        &[
            TEXT,
            &multipart("alternative", &[TEXT, HTML]).replace("=b", "=i").replace("--b", "--i"),
        ],
    );
    assert_eq!(html(&nested).as_deref(), Some("<p>html"));
}

#[test]
fn bare_line_feeds_and_a_missing_end_are_understood() {
    let message = multipart("mixed", &[TEXT, HTML]).replace("\r\n", "\n");
    assert_eq!(html(&message).as_deref(), Some("<p>html"));
    assert_eq!(html(message.trim_end_matches("--b--\n")).as_deref(), Some("<p>html\n"));
}

#[test]
fn a_boundary_is_a_whole_line() {
    let part = format!("{HTML}\r\n--bb\r\n --b\r\nx--b\r\n--b y");
    let message = multipart("mixed", &[&part]);
    assert_eq!(html(&message).as_deref(), Some("<p>html\r\n--bb\r\n --b\r\nx--b\r\n--b y"));
    let spaced = multipart("mixed", &[TEXT, HTML]).replace("--b\r\n", "--b \t\r\n");
    assert_eq!(html(&spaced).as_deref(), Some("<p>html"));
}

#[test]
fn an_empty_part_is_a_part() {
    assert_eq!(html(&multipart("mixed", &["", HTML])).as_deref(), Some("<p>html"));
    assert_eq!(
        html(&multipart("mixed", &["Content-Type: text/html\r\n\r\n"])).as_deref(),
        Some("")
    );
}

#[test]
fn a_header_section_that_nothing_ends_has_no_body() {
    let head = "Content-Type: text/html";
    for message in [head.to_owned(), format!("{head}\r\n"), multipart("mixed", &[head])] {
        assert_eq!(html(&message), None, "{message}");
    }
    assert_eq!(html(&multipart("mixed", &[head, HTML])).as_deref(), Some("<p>html"));
}

#[test]
fn what_may_not_change_is_not_entered() {
    let report = multipart("report", &[HTML]);
    for (kind, reason) in [
        ("signed", Reason::SignedPart),
        ("encrypted", Reason::EncryptedPart),
        ("report", Reason::ReportPart),
    ] {
        assert_eq!(html(&multipart(kind, &[HTML])), None);
        assert_eq!(reasons(&multipart(kind, &[HTML])), [reason]);
    }
    let forwarded = format!("Content-Type: message/rfc822\r\n\r\n{report}");
    assert_eq!(reasons(&multipart("mixed", &[TEXT, &forwarded])), [Reason::EmbeddedMessage]);
    let attached = format!("Content-Disposition: Attachment; filename=x\r\n{HTML}");
    assert_eq!(reasons(&multipart("mixed", &[TEXT, &attached])), [Reason::AttachedPart]);
    assert_eq!(html(&multipart("digest", &["\r\n<p>"])), None);
}

#[test]
fn html_beside_a_signed_part_is_still_ours() {
    let signed = multipart("signed", &[HTML]).replace("=b", "=s").replace("--b", "--s");
    assert_eq!(html(&multipart("mixed", &[&signed, HTML])).as_deref(), Some("<p>html"));
}

#[test]
fn an_endless_nest_is_left() {
    let level = |n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n");
    let deep: String = (0..100).map(level).collect();
    assert_eq!(html(&deep), None);
    assert_eq!(reasons(&deep), [Reason::NestedTooDeep]);
}

#[test]
fn the_transfer_encoding_is_read_without_case_or_comment() {
    let message = "Content-Type: text/html\nContent-Transfer-Encoding: BASE64 (x)\n\n";
    assert_eq!(list_parts(message)[0].transfer_encoding, "base64");
    let message = message.replace("(x)", ";");
    assert_eq!(list_parts(&message)[0].transfer_encoding, "base64 ;");
    assert_eq!(list_parts("Content-Type: text/html\n\n")[0].transfer_encoding, "7bit");
}

#[test]
fn white_space_around_names_is_ascii() {
    let attached = |kind| format!("Content-Disposition: {kind}\r\n{HTML}");
    assert_eq!(html(&attached("attachment ")), None);
    assert_eq!(html(&attached("inline\u{a0}")), None);
    assert_eq!(html(&attached("\tInline ")).as_deref(), Some("<p>html"));
}

/// The role of each part, or why it has none; a later piece is marked.
fn roles(message: &str) -> Vec<String> {
    let role = |part: BodyPart| match (part.role, part.reason) {
        (Some(role), None) => {
            format!("{role:?}{}", if part.is_later_piece { " later" } else { "" })
        }
        (_, reason) => reason.map_or_else(String::new, |reason| reason.code().to_owned()),
    };
    list_parts(message).into_iter().map(role).collect()
}

/// A multipart as a part of another: its boundary is its own.
fn inner(kind: &str, boundary: &str, parts: &[&str]) -> String {
    multipart(kind, parts)
        .replace("=b\r\n", &format!("={boundary}\r\n"))
        .replace("--b", &format!("--{boundary}"))
}

const IMAGE: &str = "Content-Type: image/png\r\nContent-ID: <i@x>\r\n\r\nPNG";
const AMP: &str = "Content-Type: text/x-amp-html\r\n\r\n<html amp4email>";

fn headed(field: &str, part: &str) -> String {
    format!("{field}\r\n{part}")
}

#[test]
fn every_text_that_is_shown_has_a_role_and_html_below_html_is_a_later_piece() {
    let attached = headed("Content-Disposition: attachment", TEXT);
    let message = multipart("mixed", &[&attached, TEXT, HTML, IMAGE, TEXT, HTML]);
    let shown = ["attached_part", "Text", "Html", "other_media_type", "Text", "Html later"];
    assert_eq!(roles(&message), shown);
    assert_eq!(body(&message, Role::Text).as_deref(), Some("text"));
}

#[test]
fn each_alternative_is_shown_alone() {
    let empty = "Content-Type: text/html\r\n\r\n";
    assert_eq!(roles(&multipart("alternative", &[TEXT, empty, HTML])), ["Text", "Html", "Html"]);
    let mixed = inner("mixed", "m", &[HTML, IMAGE, HTML]);
    let apple = ["Text", "Html", "other_media_type", "Html later"];
    assert_eq!(roles(&multipart("alternative", &[TEXT, &mixed])), apple);
    let related = inner("related", "r", &[HTML, IMAGE]);
    let both = inner("alternative", "a", &[TEXT, &related, HTML]);
    let below = ["Text", "Html", "other_media_type", "Html", "Html later"];
    assert_eq!(roles(&multipart("mixed", &[&both, HTML])), below);
}

#[test]
fn of_related_parts_the_start_alone_is_shown() {
    let aside = ["Html", "other_media_type", "not_top_part"];
    assert_eq!(roles(&multipart("related", &[HTML, IMAGE, HTML])), aside);
    let root = headed("Content-ID:\r\n <root@x>", HTML);
    for start in ["\"<root@x>\"", "root@x", "\" <root@x> \""] {
        let message = multipart("related", &[HTML, IMAGE, &root])
            .replace("=b\r\n", &format!("=b; start={start}\r\n"));
        assert_eq!(roles(&message), ["not_top_part", "other_media_type", "Html"], "{start}");
        let unknown = message.replace("Content-ID:", "X:");
        assert_eq!(roles(&unknown), aside, "{start}");
    }
    let alternative = inner("alternative", "a", &[TEXT, HTML]);
    let message = multipart("related", &[&alternative, &inner("mixed", "m", &[HTML])]);
    assert_eq!(roles(&message), ["Text", "Html", "not_top_part"]);
}

#[test]
fn any_disposition_but_inline_is_an_attachment() {
    for kind in [
        "attachment", "*", "*; filename=\"report.html\"", "form-data", "file", "x-foo",
        "attachement", "", "; filename=x", "filename=inline", "inline x", "\"inline\"", "inlines",
        "in line", "(inline)", "signal", "inline,attachment",
    ] {
        let file = headed(&format!("Content-Disposition: {kind}"), HTML);
        assert_eq!(
            roles(&multipart("mixed", &[TEXT, &file])),
            ["Text", "attached_part"],
            "{kind}"
        );
    }
    for kind in ["inline", "INLINE", " inline ; size=1", "inline (x)", "(x) inline", "inline;"] {
        let shown = headed(&format!("Content-Disposition: {kind}"), HTML);
        assert_eq!(roles(&multipart("mixed", &[TEXT, &shown])), ["Text", "Html"], "{kind}");
    }
}

#[test]
fn a_text_with_a_name_beside_one_without_is_a_file() {
    let type_of = |name: &str| format!("Content-Type: text/html; {name}\r\n\r\n<p>file");
    for named in [
        headed("Content-Disposition: inline; filename=\"report.html\"", HTML),
        headed("Content-Disposition: inline; filename*=utf-8''r%C3%A9port.html", HTML),
        headed("Content-Disposition: inline; filename*0=re; filename*1=port.html", HTML),
        type_of("name=report.html"),
        type_of("name*=utf-8''report.html"),
    ] {
        assert_eq!(roles(&multipart("mixed", &[&named, HTML])), ["named_file", "Html"]);
        assert_eq!(roles(&multipart("mixed", &[TEXT, &named])), ["Text", "named_file"]);
        assert_eq!(roles(&multipart("mixed", &[&named, &named])), ["Html", "Html later"]);
        assert_eq!(roles(&named), ["Html"]);
        assert_eq!(roles(&multipart("alternative", &[TEXT, &named])), ["Text", "Html"]);
        let related = inner("related", "r", &[&named, IMAGE]);
        assert_eq!(
            roles(&multipart("alternative", &[TEXT, &related])),
            ["Text", "Html", "other_media_type"]
        );
        let attached = headed("Content-Disposition: attachment", HTML);
        assert_eq!(roles(&multipart("mixed", &[&named, &attached])), ["Html", "attached_part"]);
    }
    for unnamed in [type_of("name=\"\""), type_of("name=\" \""), type_of("names=x")] {
        assert_eq!(roles(&multipart("mixed", &[&unnamed, HTML])), ["Html", "Html later"]);
    }
    let text = "Content-Type: text/plain; name=notes.txt\r\n\r\nnotes";
    assert_eq!(roles(&multipart("mixed", &[HTML, text])), ["Html", "named_file"]);
}

#[test]
fn fields_that_differ_are_ambiguous() {
    let encoding = "Content-Transfer-Encoding: ";
    for fields in [
        format!("{encoding}7bit\r\n{encoding}base64"),
        format!("{encoding}base64\r\nX: y\r\n{encoding}"),
        "Content-Disposition: inline\r\nContent-Disposition: attachment".to_owned(),
        "Content-Type: text/plain".to_owned(),
        "Content-Type: text/html; charset=utf-8".to_owned(),
        "Content-Type: multipart/signed; boundary=s".to_owned(),
    ] {
        let part = headed(&fields, HTML);
        assert_eq!(roles(&part), ["ambiguous_header"], "{fields}");
        assert_eq!(roles(&multipart("mixed", &[TEXT, &part])), ["Text", "ambiguous_header"]);
    }
    for fields in [
        format!("{encoding}7bit\r\n{encoding}7BIT "),
        "content-type:\r\n TEXT/html".to_owned(),
        "Content-Disposition: inline\r\nContent-Disposition: Inline".to_owned(),
    ] {
        assert_eq!(roles(&headed(&fields, HTML)), ["Html"], "{fields}");
    }
    let image = headed(&format!("{encoding}7bit\r\n{encoding}base64"), IMAGE);
    assert_eq!(roles(&image), ["other_media_type"]);
}

#[test]
fn a_multipart_of_two_boundaries_is_not_entered() {
    let message = multipart("mixed", &[TEXT, HTML]);
    for other in ["=b; boundary=c", "=b; boundary*=''c", "=B; boundary=b"] {
        let message = message.replacen("=b", other, 1);
        assert_eq!(roles(&message), ["ambiguous_header"], "{other}");
    }
    let field = "Content-Type: multipart/mixed; boundary=";
    assert_eq!(roles(&format!("{field}c\r\n{message}")), ["ambiguous_header"]);
    assert_eq!(roles(&format!("{field}B\r\n{message}")), ["ambiguous_header"]);
    assert_eq!(roles(&format!("{field}b\r\n{message}")), ["Text", "Html"]);
    assert_eq!(roles(&message.replacen("=b", "=b; boundary=\"b\"", 1)), ["Text", "Html"]);
    let html = "Content-Type: text/html; charset=utf-8; charset=utf-16\r\n\r\n<p>";
    assert_eq!(roles(html), ["ambiguous_header"]);
}

#[test]
fn amp_has_a_role_beside_other_text() {
    assert_eq!(roles(&multipart("alternative", &[TEXT, AMP, HTML])), ["Text", "Amp", "Html"]);
    assert_eq!(roles(&multipart("alternative", &[AMP, HTML])), ["Amp", "Html"]);
    let related = inner("related", "r", &[HTML, IMAGE]);
    let beside = ["Amp", "Html", "other_media_type"];
    assert_eq!(roles(&multipart("alternative", &[AMP, &related])), beside);
    let mixed = inner("mixed", "m", &[AMP]);
    assert_eq!(roles(&multipart("alternative", &[TEXT, &mixed])), ["Text", "Amp"]);

    assert_eq!(roles(AMP), ["not_alternative"]);
    assert_eq!(roles(&multipart("mixed", &[TEXT, AMP])), ["Text", "not_alternative"]);
    assert_eq!(roles(&multipart("alternative", &[AMP, IMAGE]))[0], "not_alternative");
    let alone = inner("alternative", "a", &[&inner("mixed", "m", &[AMP, TEXT])]);
    assert_eq!(roles(&multipart("mixed", &[&alone, HTML])), ["not_alternative", "Text", "Html"]);
    let attached = headed("Content-Disposition: attachment", AMP);
    assert_eq!(roles(&multipart("alternative", &[TEXT, &attached])), ["Text", "attached_part"]);
}

#[test]
fn what_mbox_or_an_editor_puts_first_hides_nothing() {
    for first in ["From jo@x Mon Jan  1 00:00:00 2024\r\n", ">From jo@x\n", "\u{feff}"] {
        assert_eq!(html(&format!("{first}{HTML}")).as_deref(), Some("<p>html"), "{first}");
    }
    for twice in ["From a\nFrom b\n", "From a\n b\n", "From", "\u{feff}\u{feff}"] {
        assert!(Section::parse_message(format!("{twice}\n\n").as_bytes()).malformed, "{twice}");
    }
    assert_eq!(html(&format!("\u{feff}From a\n\u{feff}{HTML}")).as_deref(), Some("<p>html"));
    let part = format!("From jo@x\r\n{HTML}");
    assert_eq!(roles(&multipart("mixed", &[&part])), ["malformed_part"]);
}

#[test]
fn a_part_that_cannot_be_read_is_reported() {
    assert_eq!(reasons("Content-Type: multipart/mixed\n\n--b\n"), [Reason::MalformedPart]);
    let message = multipart("mixed", &["no header\r\n\r\n", HTML]);
    assert_eq!(reasons(&message), [Reason::MalformedPart]);
    assert_eq!(html(&message).as_deref(), Some("<p>html"));
}

#[test]
fn of_endless_parts_the_first_thousand_are_reported_and_the_rest_as_one() {
    let message = multipart("mixed", &vec![TEXT; 3_000]);
    let listed = list_parts(&message);
    assert_eq!(listed.len(), 1_001);
    let last = listed.last().unwrap();
    assert_eq!((last.reason, last.body.end), (Some(Reason::TooManyParts), message.len()));
}
