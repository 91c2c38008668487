use super::*;

fn list_parts(message: &str) -> Vec<BodyPart> {
    let section = Section::parse(message.as_bytes(), &(0..message.len()));
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
    for kind in ["alternative", "mixed", "related", "parallel", "x-unknown"] {
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
    assert_eq!(html(&attached("attachment\u{a0}")).as_deref(), Some("<p>html"));
}

#[test]
fn the_first_text_and_the_first_html_have_a_role() {
    let image = "Content-Type: image/png\r\n\r\nPNG";
    let amp = "Content-Type: text/x-amp-html\r\n\r\n<html amp4email>";
    let attached = format!("Content-Disposition: attachment\r\n{TEXT}");
    let message = multipart("mixed", &[&attached, TEXT, amp, HTML, image, TEXT, HTML]);
    let found: Vec<_> = list_parts(&message).iter().map(|part| (part.role, part.reason)).collect();
    assert_eq!(
        found,
        [
            (None, Some(Reason::AttachedPart)),
            (Some(Role::Text), None),
            (None, Some(Reason::AmpPart)),
            (Some(Role::Html), None),
            (None, Some(Reason::OtherMediaType)),
            (None, Some(Reason::NotTopPart)),
            (None, Some(Reason::NotTopPart)),
        ]
    );
    assert_eq!(body(&message, Role::Text).as_deref(), Some("text"));
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
