use super::*;
use crate::plan::Rules;
use crate::token::laws;

const MESSAGE: &str = "Content-Type: text/html\n\n\
    <body data-x><a href='http://e.com/' data-msys-sublink=app data-msys-unsubscribe=1>x</a>\n\
    <!--[if mso]><v:rect href=\"http://e.com/mso\"><![endif]--></body>\n";

fn engagement(recipient: &str) -> Engagement {
    Engagement { recipient: recipient.to_owned(), ..laws::engagement() }
}

fn keys() -> KeyRing {
    laws::ring().unwrap()
}

fn urls() -> TrackedUrls {
    TrackedUrls::new("t.test", "https", "https", true, true).unwrap()
}

fn render_message(message: &str, engagement: &Engagement) -> (String, Rendered) {
    render_with(message, engagement, &urls())
}

fn render_with(message: &str, engagement: &Engagement, urls: &TrackedUrls) -> (String, Rendered) {
    let plan = TrackedPlan::new(Plan::new(message.as_bytes(), &Rules::default(), &[]));
    let rendered = plan.render(&keys(), engagement, urls, &[]).unwrap();
    let mut out = vec![0; rendered.rendering.length()];
    plan.plan().write(&rendered.rendering, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), rendered)
}

fn paths(message: &str) -> Vec<&str> {
    let urls = message.split("https://t.test/").skip(1);
    urls.map(|rest| rest.split(['\'', '"']).next().unwrap()).collect()
}

#[test]
fn each_url_opens_to_what_it_stands_for() {
    let (out, rendered) = render_message(MESSAGE, &engagement("a@b.test"));
    let kinds: Vec<_> = paths(&out)
        .into_iter()
        .map(|path| {
            let claims = keys().open(path).unwrap();
            (path.rsplit_once('/').unwrap().0, claims.link.kind, claims.link.target)
        })
        .collect();
    let target = |text: &str| Some(text.to_owned());
    assert_eq!(
        kinds,
        [
            ("q", Kind::InitialOpen, None),
            ("f/app", Kind::LinkUnsubscribe, target("http://e.com/")),
            ("f/a", Kind::Click, target("http://e.com/mso")),
            ("q", Kind::Open, None),
        ]
    );
    assert_eq!((rendered.rendering.links, rendered.rendering.pixels), (2, 2));
}

#[test]
fn the_pixel_at_the_top_needs_opens_tracked() {
    let engagement = Engagement { open_tracking: false, ..engagement("a@b.test") };
    let (_, rendered) = render_message(MESSAGE, &engagement);
    assert_eq!((rendered.rendering.links, rendered.rendering.pixels), (2, 0));
}

#[test]
fn a_missing_body_tag_is_reported_to_those_who_want_a_pixel_at_the_top() {
    let message = MESSAGE.replace("<body data-x>", "");
    let reasons = |engagement: &Engagement| -> Vec<_> {
        render_message(&message, engagement)
            .1
            .rendering
            .left_alone
            .iter()
            .map(|left| left.reason)
            .collect()
    };
    let wanted = engagement("a@b.test");
    assert_eq!(reasons(&wanted), [Reason::NoInitialPixelPlace]);
    assert_eq!(reasons(&Engagement { initial_pixel: false, ..wanted.clone() }), []);
    assert_eq!(reasons(&Engagement { open_tracking: false, ..wanted }), []);
}

#[test]
fn no_token_ends_the_comment_it_stands_in() {
    let mut salted = 0;
    for number in 0..300 {
        let engagement = engagement(&format!("reader{number}@b.test"));
        let (out, _) = render_message(MESSAGE, &engagement);
        let path = paths(&out)[2];
        let token = path.strip_prefix("f/a/").unwrap();
        assert!(!token.contains("--") && !token.ends_with('-'), "{token}");
        assert_eq!(keys().open(path).unwrap().engagement, engagement);
        assert_eq!(render_message(MESSAGE, &engagement).0, out, "the same each time");
        let unsalted = EncodedLink::new(&LinkClaims {
            kind: Kind::Click,
            target: Some("http://e.com/mso".to_owned()),
            name: None,
            position: NonZero::new(2).map(|number| Position { number, part: LinkPart::Html }),
        });
        let keys = keys();
        let sealer = keys.sealer(EncodedEngagement::new(&engagement));
        salted += usize::from(path.len() > sealer.path_len(&unsalted));
    }
    assert!((1..100).contains(&salted), "{salted}");
}

/// The scheme that each of two links got, or why it stayed; the first target is `http`.
fn schemes(click_scheme: &str, allow_downgrade: bool) -> Vec<String> {
    let message =
        "Content-Type: text/html\n\n<body><a href='HTTP://e.com/'><a href='HTTPS://e.com/'>\n";
    let urls = TrackedUrls::new("t.test", click_scheme, "http", true, allow_downgrade).unwrap();
    let (out, rendered) = render_with(message, &engagement("a@b.test"), &urls);
    let hrefs = out.split("href='").skip(1).filter(|href| href.contains("://t.test/f/a/"));
    let schemes = hrefs.map(|href| href.split(':').next().unwrap().to_owned());
    let left = rendered.rendering.left_alone;
    schemes.chain(left.iter().map(|left| left.reason.code().to_owned())).collect()
}

#[test]
fn an_https_target_gets_an_http_url_only_where_that_is_allowed() {
    assert_eq!(schemes("http", true), ["http", "http"]);
    assert_eq!(schemes("http", false), ["http", "scheme_downgrade"]);
    assert_eq!(schemes("https", false), ["https", "https"]);
    assert_eq!(schemes("Same", false), ["http", "https"]);
}

#[test]
fn only_clicks_may_have_the_scheme_of_their_targets() {
    let new = |click, open| TrackedUrls::new("t.test", click, open, true, true).err();
    assert_eq!(new("ftp", "http"), Some(UrlError::ClickScheme("ftp".to_owned())));
    assert_eq!(new("same", "same"), Some(UrlError::Scheme("same".to_owned())));
}

const MIXED: &str = "Content-Type: multipart/alternative; boundary=b\n\n\
    --b\nContent-Type: text/plain\n\nhttp://e.com/1 http://e.com/2\n\
    --b\nContent-Type: text/html\n\n\
    <a href='http://e.com/1'>x</a> <a href='https://t.test/f/a/x'>wrapped</a>\n\
    <!--[if mso]><v:rect href=\"http://e.com/3\"><![endif]--><a href='http://e.com/4'>x</a>\n\
    --b--\n";

#[test]
fn links_are_numbered_by_their_kind_of_part() {
    let engagement = Engagement { initial_pixel: false, ..engagement("a@b.test") };
    let (out, rendered) = render_message(MIXED, &engagement);
    assert_eq!(rendered.rendering.left_alone[0].reason, Reason::AlreadyTracked);
    let paths = out.split("https://t.test/").skip(1);
    let opened = paths.filter_map(|path| keys().open(path.split(['\'', '"']).next()?).ok());
    let positions: Vec<_> = opened
        .map(|claims| claims.link.position.map(|at| (at.number.get(), at.part.name())))
        .collect();
    let text = |number| Some((number, "text"));
    let html = |number| Some((number, "html"));
    assert_eq!(positions, [text(1), text(2), html(1), html(3), html(4), None]);
}
