//! Targets: what of an `href` a tracked link leads to.

use encoding_rs::{Encoder, EncoderResult, Encoding};

use crate::reason::Reason;

/// The target of a link: what a browser hands to its URL parser, and next to nothing done to it.
///
/// Leading and trailing spaces and controls, and tabs and line breaks anywhere, are dropped as
/// the URL Standard does. No change of case or order, and no percent-encoding but that of a query
/// beyond ASCII in a document of that encoding, which a redirect could not tell from UTF-8.
#[must_use]
pub fn target(href: &str, query_encoding: Option<&'static Encoding>) -> String {
    let trimmed = href.trim_matches(|c: char| c <= ' ');
    let target = if memchr::memchr3(b'\t', b'\r', b'\n', trimmed.as_bytes()).is_none() {
        trimmed.to_owned()
    } else {
        trimmed.replace(['\t', '\r', '\n'], "")
    };
    match query_encoding {
        Some(encoding) if !target.is_ascii() => encode_query(&target, encoding),
        _ => target,
    }
}

/// Percent-encodes a query that is not ASCII as a browser does (URL Standard, "query state").
fn encode_query(target: &str, encoding: &'static Encoding) -> String {
    let (before, fragment) = target.split_at(target.find('#').unwrap_or(target.len()));
    match before.split_once('?') {
        Some((path, query)) if !query.is_ascii() => {
            format!("{path}?{}{fragment}", percent_encode(query, encoding.new_encoder()))
        }
        _ => target.to_owned(),
    }
}

/// URL Standard, "percent-encode after encoding", with the special-query percent-encode set.
fn percent_encode(query: &str, mut encoder: Encoder) -> String {
    let mut written = String::with_capacity(3 * query.len());
    let mut rest = query;
    let mut buffer = [0; 256];
    loop {
        let (result, read, length) =
            encoder.encode_from_utf8_without_replacement(rest, &mut buffer, true);
        for byte in buffer.iter().take(length) {
            match byte {
                b'"' | b'#' | b'<' | b'>' | b'\'' | ..=b' ' | 0x7F.. => {
                    written.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
                _ => written.push(char::from(*byte)),
            }
        }
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return written,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(character) => {
                let code_point = u32::from(character).to_string();
                written.extend(["%26%23", &code_point, "%3B"]);
            }
        }
    }
}

fn digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

/// Whether a target can be wrapped.
///
/// # Errors
/// [`Reason::NotHttp`] unless the protocol stands there as `http://` or `https://`;
/// [`Reason::NoHost`] if nothing follows it.
pub fn check(target: &str) -> Result<(), Reason> {
    let rest = after_protocol(target).ok_or(Reason::NotHttp)?;
    if rest.trim_start_matches(['/', '\\']).is_empty() { Err(Reason::NoHost) } else { Ok(()) }
}

/// What follows `http://` or `https://`, in any case; `None` for everything else.
#[must_use]
pub fn after_protocol(url: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|protocol| {
        let (head, rest) = url.split_at_checked(protocol.len())?;
        head.eq_ignore_ascii_case(protocol).then_some(rest)
    })
}

/// Whether a target that can be wrapped is `https`.
#[must_use]
pub fn is_secure(target: &str) -> bool {
    target.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_what_stands_there() {
        for url in [
            "http://e.com/?a=&b=&", "HTTPS://E.com/%zz#f#g", "http://e.com/{{user}}?x=%%y%%",
            "https://bücher.example/ü",
        ] {
            assert_eq!(target(url, None), url);
            assert_eq!(check(url), Ok(()));
        }
    }

    #[test]
    fn white_space_goes_as_in_a_browser() {
        assert_eq!(target(" \thttp://e.com/ \r\n", None), "http://e.com/");
        assert_eq!(target("ht\ntp://e.\tcom/a b", None), "http://e.com/a b");
    }

    #[test]
    fn only_http_with_its_slashes_is_a_link() {
        for href in
            ["", "#top", "mailto:a@b.c", "//e.com", "/x", "https:/e.com", "https:e.com", "httpé"]
        {
            assert_eq!(check(href), Err(Reason::NotHttp), "{href}");
        }
        assert_eq!(check("http://"), Err(Reason::NoHost));
        assert_eq!(check("http:////"), Err(Reason::NoHost));
    }

    fn in_charset(label: &str, href: &str) -> String {
        target(href, Encoding::for_label(label.as_bytes()))
    }

    #[test]
    fn a_query_beyond_ascii_is_encoded_as_the_document_is() {
        for (label, query, encoded) in [
            ("windows-1252", "\u{2020}", "%86"),
            ("big5", "\u{2020}", "%26%238224%3B"),
            ("euc-kr", "\u{2020}", "%A2%D3"),
            ("iso-2022-jp", "\u{0e}\u{e9}A", "%26%2365533%3B%26%23233%3BA"),
            ("iso-2022-jp", "\u{203e}\\", "%1B(J~%1B(B\\"),
            ("iso-2022-jp", "a=\u{65e5}&b", "a=%1B$BF|%1B(B&b"),
            ("gb18030", "\u{e5e5}", "%26%2358853%3B"),
            ("shift_jis", "\u{2212}", "%81|"),
            ("koi8-r", "q=\u{43f}'\"<> {{x}}%41", "q=%D0%27%22%3C%3E%20{{x}}%41"),
            ("iso-8859-1", "\u{1f600}", "%26%23128512%3B"),
        ] {
            let href = format!("http://e.com/\u{e9}?{query}#\u{e9}?\u{e9}");
            let expected = format!("http://e.com/\u{e9}?{encoded}#\u{e9}?\u{e9}");
            assert_eq!(in_charset(label, &href), expected, "{label}");
        }
        let long = "\u{43f}".repeat(1_000);
        let encoded = in_charset("koi8-r", &format!("http://e.com/?{long}"));
        assert_eq!(encoded, format!("http://e.com/?{}", "%D0".repeat(1_000)));
    }

    #[test]
    fn an_ascii_query_stays_as_it_is() {
        for url in [
            "http://e.com/\u{e9}?a='b c'#\u{e9}", "http://e.com/\u{e9}#?\u{e9}",
            "http://e.com/\u{e9}", "http://\u{e9}.com?",
        ] {
            assert_eq!(in_charset("windows-1252", url), url);
        }
    }
}
