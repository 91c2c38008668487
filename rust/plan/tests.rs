use std::collections::HashMap;

use super::laws::{Constant, URL, undo, write};
use super::*;
use crate::mime::base64::{self, Layout};
use crate::mime::quoted_printable;

const BOTH: Tracking = Tracking { clicks: true, opens: true, initial_opens: false };

fn render_message(message: &[u8]) -> (Vec<u8>, Rendering) {
    let plan = Plan::new(message, &Rules::default(), &[b"X-MSYS-API"]);
    let rendering = plan.render(&mut Constant(BOTH), &[]).unwrap();
    (write(&plan, &rendering), rendering)
}

fn text(message: &str) -> String {
    String::from_utf8(render_message(message.as_bytes()).0).unwrap()
}

#[test]
fn links_and_pixel_are_the_only_change() {
    assert_eq!(
        text(
            "Content-Type: text/html\r\n\r\n<body><a\thref='http://e.com/' x>é</a>\r\n</body>\r\n"
        ),
        format!(
            "Content-Type: text/html\r\n\r\n<body><a\thref='{URL}' x>é</a>\r\n\r\n\
             <img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"{URL}\">\r\n</body>\r\n"
        )
    );
}

#[test]
fn the_named_header_goes_with_all_its_lines() {
    assert_eq!(
        text("A: b\r\nx-msys-api: {\r\n }\r\nC: d\r\n\r\ntext"),
        "A: b\r\nC: d\r\n\r\ntext"
    );
}

#[test]
fn the_pixel_s_line_breaks_are_those_of_the_part() {
    assert!(text("Content-Type: text/html\n\n<p>\n").ends_with("<p>\n\n<img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"https://t.example/f/a/TO--KEN-\">\n"));
    assert!(text("Content-Type: text/html\r\n\r\n<p>").ends_with(">\r\n"));
}

#[test]
fn quoted_printable_is_edited_where_it_stands() {
    let message = "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        =3Cbody=3E caf=E9 stays=20=\r\nas it=\r\n is <a href=3D\"http://e.=\r\ncom/?a=3D1&amp;b=3D2\" class=3D\"link b\">x</a> tail\r\n\
        untouched =3D line\r\n </body>\r\n";
    assert_eq!(
        text(message),
        format!(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            =3Cbody=3E caf=E9 stays=20=\r\nas it=\r\n is <a href=3D\"{URL}\" class=3D\"link b\">x</a> tail\r\n\
            untouched =3D line\r\n =\r\n\r\n<img border=3D\"0\" width=3D\"1\" height=3D\"1\" alt=3D\"\" src=3D\"https://t.exampl=\r\n\
            e/f/a/TO--KEN-\">\r\n</body>\r\n"
        )
    );
}

fn encode_base64(bytes: &[u8], layout: &Layout) -> Vec<u8> {
    let mut body = vec![0; layout.encoded_len(bytes.len(), b"\n")];
    base64::encode([bytes], bytes.len(), layout, b"\n", &mut body).unwrap();
    body
}

#[test]
fn base64_keeps_its_lines_up_to_the_first_change() {
    let html = format!("<body>{}<a href='http://e.com/'>x</a></body>", "y".repeat(200));
    let layout = Layout { start: 0, column: 0, line_length: 64, end: 0 };
    let body = encode_base64(html.as_bytes(), &layout);
    let head = "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n".as_bytes();
    let message = [head, &body, b"\n"].concat();
    let (out, rendering) = render_message(&message);
    assert_eq!((rendering.links, rendering.pixels), (1, 1));
    let same = out.iter().zip(&message).take_while(|(a, b)| a == b).count();
    assert!(same >= head.len() + 4 * 64);
    let decoded = base64::decode(&out[head.len()..]).unwrap().bytes;
    assert!(
        String::from_utf8(decoded).unwrap().contains(&format!("<a href='{URL}'>x</a>\r\n<img"))
    );
    assert!(out[head.len()..].split(|b| *b == b'\n').all(|line| line.len() <= 64));
    assert_eq!(undo(&out, &message, rendering.applied()), message);
}

#[test]
fn in_base64_the_pixel_s_line_breaks_are_those_of_the_text() {
    // "<p>\r\n", in a message whose own lines end in LF.
    let head = "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n";
    let (out, _) = render_message(format!("{head}PHA+DQo=\n").as_bytes());
    let html = base64::decode(&out[head.len()..]).unwrap().bytes;
    assert!(html.starts_with(b"<p>\r\n\r\n<img ") && html.ends_with(b">\r\n"));
}

const UNFOLDED: Rules = Rules {
    signed_mail: SignedMail::Skip,
    outlook_links: true,
    text_links: true,
    keep_link_attributes: false,
    never_wrap: Vec::new(),
    fold_long_lines: false,
    foreign_opt_outs: false,
    spare_url_text: false,
    strip_text_options: false,
    pixel_placeholder: None,
};

fn is_short(copy: &str) -> bool {
    copy.lines().all(|line| line.len() <= 998)
}

#[test]
fn no_line_is_made_longer_than_998() {
    let links = "<a href='http://e.com/'>x</a>".repeat(30);
    let message = format!("Content-Type: text/html\n\n{links}\n");
    let plan = Plan::new(message, &UNFOLDED, &[]);
    let rendering = plan.render(&mut Constant(BOTH), &[]).unwrap();
    assert!(is_short(str::from_utf8(&write(&plan, &rendering)).unwrap()));
    assert!((1..30).contains(&rendering.links));
    assert_eq!(rendering.left_alone.len(), 30 - rendering.links);
    assert!(rendering.left_alone.iter().all(|left| left.reason == Reason::LineTooLong));
}

#[test]
fn a_line_that_links_would_make_too_long_is_broken_before_an_href() {
    let links = "<a\tclass=b href='http://e.com/'>x</a>".repeat(26);
    let message = format!("Content-Type: text/html\r\n\r\n{links}\r\n");
    let out = rendered_by(&message, &Rules::default(), CLICKS);
    assert!(is_short(&out));
    assert_eq!(out.matches(URL).count(), 26);
    // No more breaks than needed, and nothing but the space before the name goes for them.
    assert_eq!(out.matches("<a\tclass=b\r\nhref='").count(), 2);
    assert_eq!(out.replace("\r\nhref", " href").replace(URL, "http://e.com/"), message);
}

#[test]
fn a_line_is_broken_only_where_white_space_of_a_tag_allows_it() {
    let long =
        |tag: &str| format!("Content-Type: text/html\n\n{}{tag}\n", "y".repeat(985 - tag.len()));
    for (tag, folded) in [
        ("<a href=http://e.com/>", Some("<a\nhref=")),
        ("<a  href=http://e.com/>", Some("<a \nhref=")),
        ("<a\x0chref=http://e.com/>", Some("<a\nhref=")),
        ("<!--[if mso]><a href=http://e.com/><![endif]-->", Some("<a\nhref=")),
        ("<a/href=http://e.com/>", None),
        ("<a\x0d\x0dhref=http://e.com/>", None),
        ("<a title='x'href=http://e.com/>", None),
    ] {
        let message = long(tag);
        let out = rendered_by(&message, &Rules::default(), CLICKS);
        match folded {
            Some(folded) => assert!(out.contains(&format!("{folded}{URL}")), "{out}"),
            None => assert_eq!(out, message),
        }
        assert_eq!(rendered_by(&message, &UNFOLDED, CLICKS), message);
        for encoding in ["binary", "quoted-printable", "base64"] {
            let head = format!("Content-Transfer-Encoding: {encoding}\n\n");
            let message = message.replacen("\n\n", &format!("\n{head}"), 1);
            let out = rendered_by(&message, &Rules::default(), CLICKS);
            assert!(!out.contains("\nhref"), "{out}");
        }
    }
    let text = long("").replace("text/html", "text/plain").replace("yyy\n", " http://e.com/\n");
    assert_eq!(rendered_by(&text, &Rules::default(), CLICKS), text);
}

#[test]
fn a_line_that_is_broken_before_the_next_link_has_room_for_this_one() {
    let link = "<a/href='http://e.com/'>x</a>";
    let next = "<a href='http://e.com/'>";
    let message =
        format!("Content-Type: text/html\n\n{}{link}{}{next}\n", "y".repeat(920), "z".repeat(9));
    let out = rendered_by(&message, &Rules::default(), CLICKS);
    assert!(is_short(&out) && out.contains("zzz<a\nhref="), "{out}");
    assert_eq!(out.matches(URL).count(), 2);
}

#[test]
fn a_break_never_makes_a_boundary_line() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n";
    for (tag, wrapped) in [("<a\n--b href=http://e.com/", 0), ("<a\n--c href=http://e.com/", 1)] {
        let message = format!("{head}{tag} title='{}'>\n--b--\n", "y".repeat(950));
        let out = rendered_by(&message, &Rules::default(), CLICKS);
        assert_eq!((out.matches(URL).count(), is_short(&out)), (wrapped, true), "{out}");
    }
}

#[test]
fn a_line_that_was_too_long_on_entry_is_tracked() {
    let links = "<a href='http://e.com/'>x</a>".repeat(60);
    let (_, rendering) = render_message(format!("Content-Type: text/html\n\n{links}").as_bytes());
    assert_eq!(rendering.links, 60);
}

#[test]
fn what_cannot_be_changed_is_byte_for_byte_the_same() {
    for (head, reason) in [
        ("DKIM-Signature: v=1\nContent-Type: text/html", Reason::SignedMessage),
        ("ARC-Seal: i=1\nContent-Type: text/html", Reason::SignedMessage),
        ("Content-Type: text/html; charset=utf-16", Reason::UnsupportedCharset),
        ("Content-Type: text/html; charset=what", Reason::UnknownCharset),
        (
            "Content-Type: text/html\nContent-Transfer-Encoding: x-uuencode",
            Reason::UnknownTransferEncoding,
        ),
        (
            "Content-Type: text/html\nContent-Transfer-Encoding: base64",
            Reason::MalformedTransferEncoding,
        ),
        ("Content-Type: text/html\nno header", Reason::MalformedMessage),
    ] {
        let message = format!("{head}\n\n<a href='http://e.com/'>x</a>");
        assert_eq!(text(&message), message);
        let plan = Plan::new(message.as_bytes(), &Rules::default(), &[]);
        assert_eq!(plan.left_alone.last().map(|left| left.reason), Some(reason));
    }
}

#[test]
fn the_pixel_may_follow_a_line_that_begins_with_dashes() {
    for (encoding, last) in [("7bit", "<!--\nx\n-->"), ("quoted-printable", "-- jo</p>")] {
        let message = format!(
            "Content-Type: multipart/mixed; boundary=\"B1\"\n\n--B1\nContent-Type: text/html\n\
             Content-Transfer-Encoding: {encoding}\n\n<p>\n{last}\n--B1--\n"
        );
        let out = rendered_by(&message, &Rules::default(), OPENS);
        assert!(out.contains(&format!("\n{last}\n<img ")), "{out}");
        assert!(out.ends_with("\n\n--B1--\n"), "{out}");
    }
}

#[test]
fn the_pixel_takes_the_place_of_its_placeholder() {
    let rules = Rules { pixel_placeholder: Some("<!--open-->".into()), ..Rules::default() };
    let pixel = format!("<img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"{URL}\">");
    for (html, wanted) in [
        ("<p><!--open-->x<!--open--></body>", format!("<p>{pixel}x<!--open--></body>")),
        // Inside what another edit replaces there is no place.
        ("<a href='http://e.com/<!--open-->'><!--open-->", format!("<a href='{URL}'>{pixel}")),
        (
            "<img title='<!--open-->'><a href='http://e.com/<!--open-->'></a>",
            format!("<img title='{pixel}'><a href='{URL}'></a>"),
        ),
        ("<a href='http://e.com/<!--open-->'></a>", format!("<a href='{URL}'></a>\n{pixel}\n")),
    ] {
        let message = format!("Content-Type: text/html\n\n{html}");
        let out = rendered_by(&message, &rules, BOTH);
        assert_eq!(out, format!("Content-Type: text/html\n\n{wanted}"));
        // Where opens are not tracked it stays.
        let unopened = rendered_by(&message, &rules, CLICKS);
        let kept = wanted.replace(&format!("\n{pixel}\n"), "").replace(&pixel, "<!--open-->");
        assert_eq!(unopened, format!("Content-Type: text/html\n\n{kept}"));
        let [_, quoted, encoded] = property_tests::in_each_encoding("text/html", html);
        for copy in [quoted, encoded] {
            let plan = Plan::new(copy.as_slice(), &rules, &[]);
            let rendering = plan.render(&mut Constant(BOTH), &[]).unwrap();
            let copy = write(&plan, &rendering);
            let out = property_tests::decode_part(&copy, Role::Html);
            assert_eq!(out.replace(['\r', '\n'], ""), wanted.replace('\n', ""));
        }
    }
    let full = format!("Content-Type: text/html\n\n{}<!--open-->\n", "y".repeat(960));
    let plan = Plan::new(full.as_bytes(), &rules, &[]);
    let rendering = plan.render(&mut Constant(BOTH), &[]).unwrap();
    assert_eq!((rendering.pixels, rendering.left_alone.len()), (0, 1));
}

#[test]
fn a_pixel_never_makes_a_boundary_line() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n\
        <body>x\n--b--</body>\n";
    assert_eq!(text(message), message);
}

#[test]
fn links_are_reported_where_they_stand() {
    let message = b"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<a href=3Dhttp://e.=\ncom/>";
    let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
    let at = &plan.links[0].at;
    assert_eq!(&message[at.start.0..at.end.0], b"http://e.=\ncom/");
    assert_eq!(plan.links[0].link.target, "http://e.com/");
}

fn rendered_by(message: &str, rules: &Rules, tracking: Tracking) -> String {
    let plan = Plan::new(message.as_bytes(), rules, &[]);
    let rendering = plan.render(&mut Constant(tracking), &[]).unwrap();
    let out = write(&plan, &rendering);
    assert_eq!(undo(&out, message.as_bytes(), rendering.applied()), message.as_bytes());
    String::from_utf8(out).unwrap()
}

const OPENS: Tracking = Tracking { clicks: false, opens: true, initial_opens: false };
const CLICKS: Tracking = Tracking { clicks: true, opens: false, initial_opens: false };

#[test]
fn signed_mail_is_skipped_stripped_or_tracked() {
    let signatures = "DKIM-Signature: v=1\n; b=\n x\nARC-Seal: i=1\nARC-Message-Signature: i=1\n\
        arc-authentication-results: i=1\n"
        .replace("\n;", "\n ;");
    let rest = "Subject: x\nContent-Type: text/html\n\n";
    let message = format!("{signatures}{rest}<a href=http://e.com/>");
    let rules = |signed_mail| Rules { signed_mail, ..Rules::default() };
    let of = |signed_mail| rendered_by(&message, &rules(signed_mail), CLICKS);
    assert_eq!(of(SignedMail::Skip), message);
    assert_eq!(of(SignedMail::Strip), format!("{rest}<a href={URL}>"));
    assert_eq!(of(SignedMail::Track), format!("{signatures}{rest}<a href={URL}>"));

    // Where nothing is changed, the signature holds and stays.
    let strip = rules(SignedMail::Strip);
    assert_eq!(rendered_by(&message, &strip, Tracking::default()), message);
    let nothing = format!("{signatures}{rest}<p>");
    assert_eq!(rendered_by(&nothing, &strip, CLICKS), nothing);
    assert_eq!(Plan::new(message.as_bytes(), &strip, &[]).left_alone, []);
}

#[test]
fn parts_of_skipped_mail_say_why() {
    let message = "ARC-Seal: i=1\nContent-Type: text/html; charset=\"UTF-8\"\n\n<p>";
    let plan = Plan::new(message, &Rules::default(), &[]);
    let [part] = plan.parts.as_slice() else { panic!("one part") };
    assert_eq!(part.reason, Some(Reason::SignedMessage));
    assert_eq!(part.content_type.parameter("charset").as_deref(), Some("UTF-8"));
}

/// Links that are wrapped, and the reasons why others are not.
fn fates(message: &str, rules: &Rules) -> (Vec<String>, Vec<Reason>) {
    let plan = Plan::new(message.as_bytes(), rules, &[]);
    let links = plan.links.iter().map(|planned| planned.link.target.clone()).collect();
    (links, plan.left_alone.iter().map(|left| left.reason).collect())
}

#[test]
fn other_products_opt_outs_count_where_the_rules_say_so() {
    let message = "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n\
        http://e.com/1 http://e.com/4\n--b\nContent-Type: text/html\n\n\
        <a data-pm-no-track href='http://e.com/1'><area href=http://e.com/2 ses:no-track=1>\
        <a href=http://e.com/3 clicktracking=off><a href=http://e.com/4 clicktracking=on>\
        <a data-no-track href=mailto:a@b.c></body>\n--b--\n";
    let all = ["1", "4", "1", "2", "3", "4"].map(|path| format!("http://e.com/{path}"));
    assert_eq!(fates(message, &Rules::default()), (all.to_vec(), vec![Reason::NotHttp]));
    let rules = Rules { foreign_opt_outs: true, ..Rules::default() };
    let (links, reasons) = fates(message, &rules);
    assert_eq!(links, ["http://e.com/4", "http://e.com/4"]);
    assert_eq!(reasons, [Reason::OptedOut; 5]);
}

#[test]
fn a_target_that_is_never_wrapped_stays() {
    let never_wrap = vec![Pattern::parse("http://e.com/*").unwrap()];
    let rules = Rules { never_wrap, ..Rules::default() };
    let message = "Content-Type: text/html\n\n<a href=HTTP://E.com/&amp;><a href=http://e.org/>";
    let plan = Plan::new(message, &rules, &[]);
    assert_eq!(plan.links.len(), 1);
    assert_eq!(plan.left_alone[0].reason, Reason::NeverWrap);
    assert_eq!(plan.left_alone[0].target.as_deref(), Some("HTTP://E.com/&"));
}

#[test]
fn lines_are_put_into_the_header_of_one_copy() {
    let message = b"A: b\nX-MSYS-API: {\n }\nC: d\n\n".as_slice();
    let plan = Plan::new(message, &Rules::default(), &[b"X-MSYS-API"]);
    let render = |insertions: &[Insertion<'_>]| {
        let rendering = plan.render(&mut Constant(CLICKS), insertions)?;
        let out = write(&plan, &rendering);
        assert_eq!(undo(&out, message, rendering.applied()), message);
        Ok(String::from_utf8(out).unwrap())
    };
    let many: [Insertion<'_>; 6] = [
        (27, b"Z: 6\n"),
        (22, b"Z: 4\n"),
        (0, b"Z: 1\n"),
        (5, b"Z: 2\n"),
        (5, b"Z: 3\n"),
        (25, b"5"),
    ];
    assert_eq!(render(&many).as_deref(), Ok("Z: 1\nA: b\nZ: 2\nZ: 3\nZ: 4\nC: 5d\nZ: 6\n\n"));
    assert_eq!(render(&[(28, b"x")]), Err(InsertionError::BehindHeader { offset: 28, end: 27 }));
    assert_eq!(render(&[(6, b"x")]), Err(InsertionError::InDroppedLines(6)));
}

const ATTRIBUTES: &str = "Content-Type: text/html\n\n<a data-msys-linkname=x href=http://e.com/\n\
    data-msys-sublink='y'>x</a><a data-msys-clicktrack=0>y</a>\n";

#[test]
fn our_attributes_go_from_copies_whose_clicks_are_tracked() {
    let rules = Rules::default();
    assert_eq!(
        rendered_by(ATTRIBUTES, &rules, CLICKS),
        format!("Content-Type: text/html\n\n<a href={URL}>x</a><a>y</a>\n")
    );
    assert_eq!(rendered_by(ATTRIBUTES, &rules, OPENS).matches("data-msys").count(), 3);
    let keeps = Rules { keep_link_attributes: true, ..rules };
    assert_eq!(rendered_by(ATTRIBUTES, &keeps, CLICKS).matches("data-msys").count(), 3);
}

#[test]
fn lines_that_a_link_joins_with_others_stay_within_998() {
    let (text, html) = (|length| "y".repeat(length), "Content-Type: text/html\n\n");
    let (link, split) = ("<a href='http://e.com/'>", "<a href='http://e.com/\n2'>");
    let rest = format!("{split}{0}{split}{link}{0}\n", text(400));
    for (message, wrapped) in [
        (format!("{html}{}<a href='\nhttp://e.com/'>{}{link}\n", text(930), text(28)), 1),
        (format!("Subject: x\n\n{} http://e.com/\nhttp://e.com/\n", text(975)), 1),
        (format!("{html}{}{link}{rest}", text(400)), 3),
        (format!("{html}{}{split}{rest}", text(400)), 3),
    ] {
        let out = rendered_by(&message, &UNFOLDED, CLICKS);
        assert!(is_short(&out), "{out}");
        assert_eq!(out.matches(URL).count(), wrapped, "{out}");
        let out = rendered_by(&message, &Rules::default(), CLICKS);
        assert!(is_short(&out) && out.matches(URL).count() >= wrapped, "{out}");
    }
}

#[test]
fn an_attribute_on_a_line_of_its_own_leaves_no_line_over_998() {
    let message = format!(
        "Content-Type: text/html\n\n<a title='{}'\n data-msys-linkname=x\n title='{}'>",
        "y".repeat(900),
        "z".repeat(90)
    );
    let out = rendered_by(&message, &Rules::default(), CLICKS);
    assert!(out.lines().all(|line| line.len() <= 998) && !out.contains("data-msys"), "{out}");
    let short = message.replace(&"z".repeat(90), "z");
    assert_eq!(rendered_by(&short, &Rules::default(), CLICKS).lines().count(), 4);
}

#[test]
fn an_attribute_that_keeps_a_line_from_being_a_boundary_stays() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n";
    for part in [
        "<a\n--b data-msys-linkname=x\nc>",
        "<a\ndata-msys-linkname=\"x\"--b\nc>",
        "<a\n\
            data-msys-linkname='x'\n--b c>",
    ] {
        let message = format!("{head}{part}\n--b--\n");
        let out = rendered_by(&message, &Rules::default(), CLICKS);
        let parts = |message: &str| Plan::new(message, &Rules::default(), &[]).parts.len();
        assert_eq!(parts(&out), parts(&message), "{out}");
    }
}

#[test]
fn the_pixel_at_the_top_follows_the_body_tag() {
    let all = Tracking { clicks: true, opens: true, initial_opens: true };
    let message = "Content-Type: text/html\r\n\r\n<body class=x><p>\r\n</body>\r\n";
    assert_eq!(
        rendered_by(message, &Rules::default(), all),
        format!(
            "Content-Type: text/html\r\n\r\n<body class=x>\r\n\
            <div style=\"color:transparent;visibility:hidden;opacity:0;font-size:0px;border:0;\
            max-height:1px;width:1px;margin:0px;padding:0px;border-width:0px!important;\
            display:none!important;line-height:0px!important;\">\
            <img border=\"0\" width=\"1\" height=\"1\" src=\"{URL}\" alt=\"\"/></div>\r\n<p>\r\n\r\n\
            <img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"{URL}\">\r\n</body>\r\n"
        )
    );
    let boundary = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n\
        <body>--b--\nx</body>\n";
    let out = rendered_by(boundary, &Rules::default(), all);
    assert_eq!(out.matches(URL).count(), 1);
}

#[test]
fn every_byte_of_a_comment_but_its_links_stays() {
    let message = "Content-Type: text/html\n\n<body><!--[if mso]><v:rect  HREF = 'http://e.com/' \
        fill=t ><w:anchorlock/></v:rect><![endif]--></body>";
    assert_eq!(
        rendered_by(message, &Rules::default(), CLICKS),
        message.replace("http://e.com/", URL)
    );
    let rules = Rules { outlook_links: false, ..Rules::default() };
    assert_eq!(rendered_by(message, &rules, CLICKS), message);
    let plan = Plan::new(message, &rules, &[]);
    assert_eq!(plan.left_alone[0].reason, Reason::OutlookLinksOff);
    assert_eq!(plan.left_alone[0].target.as_deref(), Some("http://e.com/"));
}

#[test]
fn links_in_text_are_wrapped_and_their_options_go() {
    let message = "Subject: x\n\nSee http://e.com/a(b). Or <https://e.com/>,\n\
        http://e.com/[[data-msys-clicktrack=\"0\"]], http://e.com/[[x]]\n";
    assert_eq!(
        rendered_by(message, &Rules::default(), CLICKS),
        format!("Subject: x\n\nSee {URL}. Or <{URL}>,\nhttp://e.com/, {URL}[[x]]\n")
    );
    let bare = message.replace("[[data-msys-clicktrack=\"0\"]]", "");
    assert_eq!(rendered_by(message, &Rules::default(), OPENS), bare);
    let rules = Rules { text_links: false, ..Rules::default() };
    assert_eq!(rendered_by(message, &rules, CLICKS), bare);
    assert_eq!(rendered_by(message, &rules, Tracking::default()), message);
    let plan = Plan::new(message, &rules, &[]);
    assert_eq!(plan.parts[0].reason, Some(Reason::TextLinksOff));
    let reasons: Vec<_> = plan.left_alone.iter().map(|left| left.reason).collect();
    let off = Reason::TextLinksOff;
    assert_eq!(reasons, [off, off, Reason::OptedOut, off]);
}

#[test]
fn text_and_html_are_changed_in_the_order_of_the_message() {
    let text = "Content-Type: text/plain\n\nhttp://e.com/out http://e.com/in\n";
    let html = "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n\
        <a data-msys-clicktrack=3D0 href=3Dhttp://e.com/out><a href=3Dhttp://e.com/in>\n";
    for parts in [[text, html], [html, text]] {
        let message = format!(
            "Content-Type: multipart/alternative; boundary=b\n\n--b\n{}--b\n{}--b--\n",
            parts[0], parts[1]
        );
        let out = rendered_by(&message, &Rules::default(), CLICKS);
        assert!(out.contains(&format!("\n\nhttp://e.com/out {URL}\n")), "{out}");
        assert_eq!(out.matches(URL).count(), 2);
        let plan = Plan::new(message.as_bytes(), &Rules::default(), &[]);
        assert!(plan.links.is_sorted_by_key(|link| link.at.start));
        assert!(plan.left_alone.is_sorted_by_key(|left| left.at.start));
    }
}

#[test]
fn text_in_pgp_s_armour_stays() {
    let message = "Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\n\nhttp://e.com/\n";
    assert_eq!(rendered_by(message, &Rules::default(), CLICKS), message);
    let plan = Plan::new(message, &Rules::default(), &[]);
    assert_eq!(plan.parts[0].reason, Some(Reason::SignedPart));
}

#[test]
fn a_bare_equals_sign_before_the_pixel_stays_one() {
    for end in ["</body>", "=\n"] {
        let head = "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n";
        let message = format!("{head}<body>a ={end}");
        let body = render_message(message.as_bytes()).0.split_off(head.len());
        let html = quoted_printable::Decoded::decode(&body, 0).bytes;
        let text = String::from_utf8(html).unwrap();
        assert!(text.starts_with("<body>a =\n<img "), "{text}");
    }
}

#[test]
fn a_pixel_behind_the_last_full_group_of_base64_makes_no_line_too_long() {
    for filler in 0..60 {
        let layout = Layout { start: 0, column: 0, line_length: 76, end: 0 };
        let body = encode_base64(format!("<p>{}", "y".repeat(filler)).as_bytes(), &layout);
        let head = b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n".as_slice();
        for end in [b"".as_slice(), b"\n"] {
            let (out, _) = render_message(&[head, &body, end].concat());
            assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= 76));
        }
    }
}

#[test]
fn a_revised_plan_has_other_links_and_the_same_message() {
    let html = "<a href='http://e.com/1'>x</a> <a href='http://e.com/2'>y</a>\n\
        <a href='http://e.com/3' data-msys-linkname=z>z</a></body>";
    let replaced =
        Revision::Replace { target: " https://e.net/\n3".into(), name: Some("n".repeat(70)) };
    let revisions = HashMap::from([(0, Revision::Veto), (2, replaced)]);
    for message in property_tests::in_each_encoding("text/html", html) {
        let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
        let revised = plan.revise(revisions.clone()).unwrap();
        let links: Vec<_> = revised.links.iter().map(|planned| &planned.link).collect();
        assert_eq!(links[0].target, "http://e.com/2");
        assert_eq!(
            (&*links[1].target, links[1].name.as_deref()),
            ("https://e.net/3", Some(&*"n".repeat(63)))
        );
        let [left] = revised.left_alone.as_slice() else { panic!("one link is vetoed") };
        assert_eq!(
            (left.reason, left.target.as_deref()),
            (Reason::Vetoed, Some("http://e.com/1"))
        );

        let rendering = revised.render(&mut Constant(CLICKS), &[]).unwrap();
        let copy = write(&revised, &rendering);
        assert_eq!(undo(&copy, &message, rendering.applied()), message);
        assert_eq!((rendering.links, rendering.left_alone.len()), (2, 0));
        let out = property_tests::decode_part(&copy, Role::Html);
        assert!(out.contains("href='http://e.com/1'") && !out.contains("e.com/2"), "{out}");

        let none = plan.revise((0..3).map(|number| (number, Revision::Veto)).collect()).unwrap();
        let rendering = none.render(&mut Constant(OPENS), &[]).unwrap();
        assert_eq!((rendering.pixels, rendering.links), (1, 0));
    }
}

#[test]
fn a_link_that_is_vetoed_is_no_place_for_a_break() {
    let link = "<a/href='http://e.com/'>x</a>";
    let next = "<a href='http://e.com/'>";
    let message = format!("Content-Type: text/html\n\n{}{link}{next}\n", "y".repeat(929));
    let plan = Plan::new(message.as_bytes(), &Rules::default(), &[]);
    let revised = plan.revise(HashMap::from([(1, Revision::Veto)])).unwrap();
    let links = |plan: &Plan<_>| plan.render(&mut Constant(CLICKS), &[]).unwrap().links;
    assert_eq!((links(&plan), links(&revised)), (2, 0));
}

#[test]
fn a_revision_that_makes_no_sense_says_so() {
    let message = "Content-Type: text/html\n\n<a href='http://e.com/'>";
    let plan = Plan::new(message, &Rules::default(), &[]);
    let revise = |number, revision| plan.revise(HashMap::from([(number, revision)])).map(|_| ());
    assert_eq!(revise(1, Revision::Veto), Err(RevisionError::NoLink { number: 1, count: 1 }));
    for target in ["", "mailto:a@e.com", "//e.com/", "http://"] {
        let revision = Revision::Replace { target: target.into(), name: None };
        let error = RevisionError::Target { number: 0, target: target.into() };
        assert_eq!(revise(0, revision), Err(error));
    }
}

#[test]
fn html_that_its_links_make_longer_than_gmail_shows_is_reported() {
    let link = "<a\nhref='http://e.com/'>x</a>\n";
    let grown = URL.len() - "http://e.com/".len();
    for (length, clips) in [
        (CLIPPED_FROM - grown, false),
        (CLIPPED_FROM - grown + 1, true),
        (CLIPPED_FROM, true),
        (CLIPPED_FROM + 1, false),
    ] {
        let lines = format!("{}\n", "y".repeat(59)).repeat(length / 60 - 1);
        let filler = "z".repeat(length - lines.len() - link.len());
        let html = format!("{lines}{filler}{link}");
        for message in property_tests::in_each_encoding("text/html", &html) {
            let plan = Plan::new(message.as_slice(), &Rules::default(), &[]);
            let of = |tracking| plan.render(&mut Constant(tracking), &[]).unwrap().clips_html;
            assert_eq!((of(CLICKS), of(Tracking::default())), (clips, false), "{length}");
        }
    }
}

#[test]
fn options_in_text_go_where_nothing_is_tracked_if_the_rules_say_so() {
    let text = "A: b\n\nhttp://e.com/[[data-msys-clicktrack=\"0\"]] http://e.org/";
    let without = "A: b\n\nhttp://e.com/ http://e.org/";
    let off = Tracking::default();
    let strips = Rules { strip_text_options: true, ..Rules::default() };
    assert_eq!(rendered_by(text, &strips, off), without);
    let no_links = Rules { text_links: false, ..strips.clone() };
    assert_eq!(rendered_by(text, &no_links, off), without);
    assert_eq!(rendered_by(text, &Rules::default(), off), text);
    // A changed body voids its signature.
    let signed = format!("DKIM-Signature: v=1\n{text}");
    assert_eq!(rendered_by(&signed, &strips, off), signed);
    let stripped = Rules { signed_mail: SignedMail::Strip, ..strips };
    assert_eq!(rendered_by(&signed, &stripped, off), without);
    let nothing = "DKIM-Signature: v=1\nA: b\n\nhttp://e.org/";
    assert_eq!(rendered_by(nothing, &stripped, off), nothing);
}
