use super::*;
use crate::token::{Kind, laws};

const MESSAGE: &str = "Subject: hello\r\n\
    X-MSYS-API: {}\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nSee http://e.com/text\r\n\
    --b\r\nContent-Type: text/x-amp-html\r\n\r\n\
    <!doctype html><html amp4email><body><a href=\"http://e.com/amp\">x</a></body></html>\r\n\
    --b\r\nContent-Type: text/html\r\n\r\n\
    <body><a href=\"http://e.com/html\">x</a></body>\r\n\
    --b--\r\n";

const READER: Reader<'static> = Reader {
    address: "jo@reader.test",
    recipient_type: RecipientType::Cc,
    injected_at: 1_700_000_000,
    message_id: "0000c0ffee",
    transmission_id: 7,
};

fn recipe() -> Recipe {
    Recipe {
        rules: Rules::default(),
        urls: TrackedUrls::new("t.test", "https", "https", true, true).unwrap(),
        engagement: laws::engagement(),
        dropped: vec![b"X-MSYS-API".to_vec()],
        tracks_amp: true,
        max_growth: 100_000,
    }
}

fn off(recipe: Recipe) -> Recipe {
    let engagement =
        Engagement { open_tracking: false, click_tracking: false, ..recipe.engagement };
    Recipe { engagement, ..recipe }
}

fn write_copy(recipe: &Recipe) -> (String, Copy) {
    let plan = recipe.plan(MESSAGE.as_bytes());
    let copy = recipe.render(&plan, &laws::ring().unwrap(), &READER, &[]).unwrap();
    let mut out = vec![0; copy.rendered.rendering.length()];
    plan.plan().write(&copy.rendered.rendering, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), copy)
}

fn untracked() -> String {
    MESSAGE.replace("X-MSYS-API: {}\r\n", "")
}

#[test]
fn a_copy_is_tracked_for_its_reader() {
    let (out, copy) = write_copy(&recipe());
    assert!(copy.is_tracked);
    let keys = laws::ring().unwrap();
    let mut opened = Vec::new();
    for rest in out.split("https://t.test/").skip(1) {
        let path = rest.split(['"', '\r']).next().unwrap();
        let claims = keys.open(path).unwrap();
        let said = &claims.engagement;
        assert_eq!(said.recipient, READER.address);
        assert_eq!(said.recipient_type, READER.recipient_type);
        assert_eq!(said.injected_at, READER.injected_at);
        assert_eq!(said.message_id, READER.message_id);
        assert_eq!(said.transmission_id, READER.transmission_id);
        assert!(said.amp_enabled);
        opened.push((claims.link.kind, claims.link.target));
    }
    let target = |text: &str| Some(text.to_owned());
    assert_eq!(
        opened,
        [
            (Kind::Click, target("http://e.com/text")),
            (Kind::AmpInitialOpen, None),
            (Kind::AmpClick, target("http://e.com/amp")),
            (Kind::AmpOpen, None),
            (Kind::InitialOpen, None),
            (Kind::Click, target("http://e.com/html")),
            (Kind::Open, None),
        ]
    );
    assert!(!out.contains("X-MSYS-API"));
}

#[test]
fn a_message_without_amp_says_so_in_its_links() {
    let plan = recipe().plan(&b"Content-Type: text/html\n\n<a href='http://e.com/'>x</a>"[..]);
    let copy = recipe().render(&plan, &laws::ring().unwrap(), &READER, &[]).unwrap();
    let mut out = vec![0; copy.rendered.rendering.length()];
    plan.plan().write(&copy.rendered.rendering, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let path = out.split("https://t.test/").nth(1).unwrap().split('\'').next().unwrap();
    assert!(!laws::ring().unwrap().open(path).unwrap().engagement.amp_enabled);
}

#[test]
fn a_copy_that_is_not_tracked_loses_its_dropped_fields_alone() {
    let (out, copy) = write_copy(&off(recipe()));
    let reasons = Reasons::from_iter([Reason::TrackingOff]);
    assert_eq!((out, copy.is_tracked, copy.reasons), (untracked(), false, reasons));
}

#[test]
fn marks_in_text_go_from_a_copy_that_is_not_tracked_if_the_rules_say_so() {
    let marked = "Content-Type: text/plain\n\nhttp://e.com/[[data-msys-linkname=\"x\"]]\n";
    let recipe = off(recipe());
    let strips = Rules { strip_text_options: true, ..Rules::default() };
    for (rules, text) in [(Rules::default(), marked), (strips, "http://e.com/\n")] {
        let recipe = Recipe { rules, ..recipe.clone() };
        let plan = recipe.plan(marked.as_bytes());
        let copy = recipe.render(&plan, &laws::ring().unwrap(), &READER, &[]).unwrap();
        let mut out = vec![0; copy.rendered.rendering.length()];
        plan.plan().write(&copy.rendered.rendering, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().ends_with(text));
    }
}

#[test]
fn a_copy_that_would_grow_too_much_is_not_tracked() {
    let (tracked, _) = write_copy(&recipe());
    let growth = tracked.len().checked_sub(MESSAGE.len()).unwrap();
    let (out, copy) = write_copy(&Recipe { max_growth: growth, ..recipe() });
    assert_eq!((out, copy.is_tracked), (tracked, true));
    let (out, copy) = write_copy(&Recipe { max_growth: growth - 1, ..recipe() });
    let reasons = Reasons::from_iter([Reason::TooMuchGrowth]);
    assert_eq!((out, copy.is_tracked, copy.reasons), (untracked(), false, reasons));
}
