//! Attribute values: from the bytes between the quotes to the URL that a browser would follow.

use std::borrow::Cow;

use super::charset::Charset;
use crate::reason::Reason;

/// Reads an attribute's value: charset, then character references by the attribute rule.
///
/// A reference without its semicolon stays as it is where `=` or an alphanumeric follows
/// (HTML Standard, "Named character reference state"), so `?a=1&copy=2` keeps its `&copy`.
#[must_use]
pub fn value(raw: &[u8], charset: Charset) -> String {
    let text = charset.decode(raw);
    let text = match memchr::memchr(b'&', text.as_bytes()) {
        Some(_) => htmlize::unescape_attribute(text),
        None => text,
    };
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text.into_owned()
}

/// The target of a link: what a browser hands to its URL parser, and nothing done to it.
///
/// Leading and trailing spaces and controls, and tabs and line breaks anywhere, are dropped as
/// the URL Standard does. No percent-encoding, no change of case or order.
///
/// # Errors
/// [`Reason::NotHttp`] unless the protocol stands there as `http://` or `https://`;
/// [`Reason::NoHost`] if nothing follows it.
pub fn target(href: &str) -> Result<String, Reason> {
    let trimmed = href.trim_matches(|c: char| c <= ' ');
    let target: Cow<'_, str> = if trimmed.contains(['\t', '\r', '\n']) {
        trimmed.replace(['\t', '\r', '\n'], "").into()
    } else {
        trimmed.into()
    };
    let rest = after_protocol(&target).ok_or(Reason::NotHttp)?;
    if rest.trim_start_matches(['/', '\\']).is_empty() {
        return Err(Reason::NoHost);
    }
    Ok(target.into_owned())
}

/// What follows `http://` or `https://`, in any case; `None` for everything else.
#[must_use]
pub fn after_protocol(url: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|protocol| {
        let (head, rest) = url.split_at_checked(protocol.len())?;
        head.eq_ignore_ascii_case(protocol).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> String {
        value(raw.as_bytes(), Charset::for_label(Some("utf-8")).unwrap())
    }

    #[test]
    fn references_follow_the_attribute_rule() {
        assert_eq!(read("?a=1&amp;b=2"), "?a=1&b=2");
        assert_eq!(read("?a=1&#38;b=2&#x26;c"), "?a=1&b=2&c");
        assert_eq!(read("?a=1&amp;amp;b"), "?a=1&amp;b");
        assert_eq!(read("?a=1&copy=2&times3&lt"), "?a=1&copy=2&times3<");
        assert_eq!(read("?a&notit;&unknown;"), "?a&notit;&unknown;");
        assert_eq!(read("&#x68;ttp&colon;//e"), "http://e");
        assert_eq!(read("a&#0;b&#xD800;&#x110000;"), "a\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(read("ex\0ample"), "ex\u{fffd}ample");
    }

    #[test]
    fn a_target_is_what_stands_there() {
        for url in [
            "http://e.com/?a=&b=&",
            "HTTPS://E.com/%zz#f#g",
            "http://e.com/{{user}}?x=%%y%%",
            "https://bücher.example/ü",
        ] {
            assert_eq!(target(url).as_deref(), Ok(url));
        }
    }

    #[test]
    fn white_space_goes_as_in_a_browser() {
        assert_eq!(target(" \thttp://e.com/ \r\n").as_deref(), Ok("http://e.com/"));
        assert_eq!(target("ht\ntp://e.\tcom/a b").as_deref(), Ok("http://e.com/a b"));
    }

    #[test]
    fn only_http_with_its_slashes_is_a_link() {
        for href in
            ["", "#top", "mailto:a@b.c", "//e.com", "/x", "https:/e.com", "https:e.com", "httpé"]
        {
            assert_eq!(target(href), Err(Reason::NotHttp), "{href}");
        }
        assert_eq!(target("http://"), Err(Reason::NoHost));
        assert_eq!(target("http:////"), Err(Reason::NoHost));
    }
}
