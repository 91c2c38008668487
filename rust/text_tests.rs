use super::*;
use crate::link::sublink::Sublink;
use proptest::prelude::*;

fn scan_text(text: &[u8], label: Option<&str>) -> TextScan {
    scan(text, Charset::for_label(label).unwrap(), Flow::Fixed).unwrap()
}

fn wrappable(text: &str) -> impl Iterator<Item = Link> {
    let links = scan_text(text.as_bytes(), Some("utf-8")).links.into_iter();
    links.filter(|link| link.reason.is_none())
}

fn targets(text: &str) -> Vec<String> {
    wrappable(text).map(|link| link.target).collect()
}

#[test]
fn a_url_ends_where_a_reader_ends_it() {
    for (text, url) in [
        ("http://e.com", "http://e.com"),
        ("see HTTPS://E.com/x?a=1&b=[2]{3}#f%20g, then", "HTTPS://E.com/x?a=1&b=[2]{3}#f%20g"),
        ("<http://e.com/reset?key=x>", "http://e.com/reset?key=x"),
        ("(http://e.com/a_(b)).", "http://e.com/a_(b)"),
        ("(see http://e.com/)", "http://e.com/"),
        ("\"http://e.com/\"", "http://e.com/"),
        ("'http://e.com/it's'", "http://e.com/it's"),
        ("http://e.com/a...", "http://e.com/a"),
        ("[http://e.com/a[0]]", "http://e.com/a[0]"),
        ("http://e.com/x[[y]]", "http://e.com/x"),
        ("http://e.com/\tx", "http://e.com/"),
        ("http://e.com/?u=http://e.org/.", "http://e.com/?u=http://e.org/"),
        ("-http://e.com/{{user}}", "http://e.com/{{user}}"),
        ("https://b\u{fc}cher.example/\u{fc}\u{a0}x", "https://b\u{fc}cher.example/\u{fc}"),
        ("\u{300c}http://e.com/\u{300d}", "http://e.com/"),
        ("http://e.com/\u{3002}\u{6b21}", "http://e.com/"),
        ("\u{201c}http://e.com/\u{201d}", "http://e.com/"),
    ] {
        assert_eq!(targets(text), [url], "{text}");
    }
}

#[test]
fn marks_that_open_before_a_url_close_behind_it() {
    for (text, url) in [
        ("*https://a.example/1*", "https://a.example/1"),
        ("**https://a.example/2**", "https://a.example/2"),
        ("_https://a.example/3_", "https://a.example/3"),
        ("~https://a.example/~jo~", "https://a.example/~jo"),
        ("~~https://a.example/4~~", "https://a.example/4"),
        ("`https://a.example/4`", "https://a.example/4"),
        ("|https://a.example/5|x|", "https://a.example/5"),
        ("_**https://a.example/6**_.", "https://a.example/6"),
        ("(*https://a.example/7.*)", "https://a.example/7"),
        ("*(https://a.example/8)*", "https://a.example/8)*"),
        ("*see https://a.example/9*", "https://a.example/9*"),
        ("*https://a.example/10**", "https://a.example/10*"),
        ("*https://a.example/_11_*", "https://a.example/_11_"),
        ("https://a.example/12_*~", "https://a.example/12_*~"),
        ("*https://a.example/13*b*", "https://a.example/13*b"),
        ("_https://a.example/a_b", "https://a.example/a_b"),
        ("\u{e9}*https://a.example/14*", "https://a.example/14"),
    ] {
        assert_eq!(targets(text), [url], "{text}");
    }
    assert_eq!(
        targets("https://a.example/*https://b.example*"),
        ["https://a.example/*https://b.example*"]
    );
}

#[test]
fn a_url_in_brackets_that_the_next_line_goes_on_with_is_left() {
    for text in [
        "Reset: <https://a.example/reset/\r\npath?token=1234> within a day.",
        "<https://a.example/reset/\npath>",
        "<https://a.example/reset/ \r\n  path>",
        "<URL:https://a.example/reset/\r\npath/\r\npath>",
        "<url:https://a.example/reset.\r\npath>",
        "<\r\nhttps://a.example/reset/\r\npath>",
        "> <https://a.example/reset/\r\n> path>",
    ] {
        let found = scan_text(text.as_bytes(), Some("utf-8")).links;
        let reasons: Vec<_> = found.iter().map(|link| link.reason).collect();
        assert_eq!(reasons, [Some(Reason::SplitLink)], "{text}");
    }
    for text in [
        "<https://a.example/>\r\nnext> line",
        "<https://a.example/\r\n\r\nnext> paragraph",
        "<https://a.example/\r\nno bracket",
        "<https://a.example/\r\n<b>",
        "https://a.example/\r\nnext>",
        "x> https://a.example/\r\nnext>",
        "<https://a.example/ or\r\nnext>",
    ] {
        assert_eq!(targets(text), ["https://a.example/"], "{text}");
    }
}

#[test]
fn what_is_no_url_is_none() {
    for text in [
        "http://", "http:// x", "http://.", "http:///", "ahttp://e.com", "git+http://e.com",
        "ftp://e.com", "://e.com", "http:/e.com", "www.e.com", "",
    ] {
        assert_eq!(targets(text), [""; 0], "{text}");
    }
}

#[test]
fn options_stand_right_behind_a_url() {
    let text = "http://e.com/.[[data-msys-sublink=\"app\"]][[ DATA-MSYS-unsubscribe = '1' ]], \
        http://e.org[[data-msys-linkname=\"x\" data-msys-clicktrack=\"0\"]]\n\
        http://e.net/[[data-msys-clicktrack=\"0\" class=\"x\"]]\n[[data-msys-clicktrack=\"0\"]]";
    let found = scan_text(text.as_bytes(), None);
    let [first, out, second] = found.links.as_slice() else { panic!("three links: {found:?}") };
    assert_eq!(first.target, "http://e.com/.");
    assert_eq!(first.sublink.as_ref().map(Sublink::as_str), Some("app"));
    assert!(first.unsubscribes);
    assert_eq!((second.target.as_str(), second.name.as_deref()), ("http://e.net/", None));
    assert_eq!((out.target.as_str(), out.reason), ("http://e.org", Some(Reason::OptedOut)));
    let removed: Vec<_> =
        found.options.iter().map(|range| &text[range.start.0..range.end.0]).collect();
    assert_eq!(
        removed,
        [
            "[[data-msys-sublink=\"app\"]][[ DATA-MSYS-unsubscribe = '1' ]]",
            "[[data-msys-linkname=\"x\" data-msys-clicktrack=\"0\"]]",
        ]
    );
}

#[test]
fn a_url_that_the_next_line_goes_on_with_is_left() {
    let charset = Charset::for_label(None).unwrap();
    let text = b"http://e.com/one \r\ntwo http://e.com/\r\nhttp://e.com/ x";
    let joined = scan(text, charset, Flow::JoinedWithoutSpace).unwrap();
    let reasons: Vec<_> = joined.links.iter().map(|link| link.reason).collect();
    assert_eq!(reasons, [Some(Reason::SplitLink), None, None]);
    let fixed = scan(text, charset, Flow::Fixed).unwrap();
    assert!(fixed.links.iter().all(|link| link.reason.is_none()));
}

#[test]
fn armour_is_reported_at_the_start_of_a_line_only() {
    let read = |text: &str| scan(text.as_bytes(), Charset::for_label(None).unwrap(), Flow::Fixed);
    assert_eq!(read("x\n-----BEGIN PGP MESSAGE-----\n"), Err(Reason::EncryptedPart));
    assert_eq!(read("-----BEGIN PGP SIGNED MESSAGE-----"), Err(Reason::SignedPart));
    assert!(read("> -----BEGIN PGP MESSAGE-----").is_ok());
}

#[test]
fn characters_of_other_charsets_are_not_cut() {
    for (label, before) in [
        ("shift_jis", b"\x83\x41".as_slice()),
        ("shift_jis", b"\x82\xcd"),
        ("gb18030", b"\x81\x30\x81\x30"),
        ("big5", b"\xa4\x40"),
        ("windows-1252", b"\xe9"),
        ("utf-8", "\u{306f}".as_bytes()),
        ("utf-8", b"\xff"),
    ] {
        let text = [before, b"http://e.com/ http://e.org/\xe9"].concat();
        let links = scan_text(&text, Some(label)).links;
        assert_eq!(links.len(), 2, "{label}");
        assert_eq!(links[0].href.start.0, before.len());
        assert_eq!(links[0].target, "http://e.com/");
    }
    // The lead byte makes one character of itself and the `h`.
    assert_eq!(scan_text(b"\x83http://e.com/", Some("shift_jis")).links, []);
}

/// The rules once more, over characters and one at a time.
fn naive(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let lower = rest.to_ascii_lowercase();
        let before = text[..at].chars().next_back();
        let in_word = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '+');
        let protocol = ["http://", "https://"].into_iter().find(|p| lower.starts_with(p));
        let Some(protocol) = protocol.filter(|_| !in_word) else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let mut url = String::new();
        for (place, c) in rest.char_indices() {
            if c <= ' ' || "<>\"|`\u{a0}\u{3002}".contains(c) || rest[place..].starts_with("[[") {
                break;
            }
            url.push(c);
        }
        let whole = url.len();
        let options = "[[data-msys-clicktrack=\"1\"]]";
        let mut marks = text[..at].chars().rev().collect::<String>();
        marks.truncate(marks.find(|c| !"*_~".contains(c)).unwrap_or(marks.len()));
        if !rest[whole..].starts_with(options) {
            loop {
                let count = |c: char| url.chars().filter(|each| *each == c).count();
                let drop = match url[protocol.len()..].chars().last() {
                    Some('.' | ',' | ';' | ':' | '!' | '?' | '\'') => true,
                    Some(')') => count(')') > count('('),
                    Some(']') => count(']') > count('['),
                    Some('}') => count('}') > count('{'),
                    Some(mark) => match marks.find(mark) {
                        Some(at) => marks.remove(at) == mark,
                        None => false,
                    },
                    None => false,
                };
                if !drop {
                    break;
                }
                url.pop();
            }
        }
        let length = url.len().max(protocol.len());
        let after = &rest[url.len()..];
        let after_blank = after.trim_start_matches([' ', '\n']);
        let is_split = text[..at].trim_end_matches([' ', '\n']).ends_with('<')
            && after[..after.len() - after_blank.len()].matches('\n').count() == 1
            && after_blank.find('>').is_some_and(|end| !after_blank[..end].contains('<'));
        if !is_split && !url[protocol.len()..].trim_matches('/').is_empty() {
            found.push((at, url));
        }
        at += length;
    }
    found
}

proptest! {
    #[test]
    fn a_second_reading_finds_the_same(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "http://", "https://", "HTTP://", "e.com", "/", "x", "a", "+", ".", ",", "?", "'", "(",
            ")", "[", "]", "[[", "]]", "{", "}", " ", "\n", "<", ">", "\"", "\u{e9}", "\u{a0}",
            "\u{3002}", "[[data-msys-clicktrack=\"1\"]]", "://", "s", "*", "_", "~", "|", "`", "<http://e.com\n",
        ]), 0..30),
    ) {
        let text = pieces.concat();
        let found: Vec<_> = wrappable(&text).map(|link| (link.href.start.0, link.target)).collect();
        prop_assert_eq!(found, naive(&text));
    }
}
