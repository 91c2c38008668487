//! Attribute values: from the bytes between the quotes to the URL that a browser would follow.

use std::borrow::Cow;

use crate::charset::Charset;

/// Reads an attribute's value: charset, then character references by the attribute rule.
///
/// A reference without its semicolon stays as it is where `=` or an alphanumeric follows
/// (HTML Standard, "Named character reference state"), so `?a=1&copy=2` keeps its `&copy`.
#[must_use]
pub fn value(raw: &[u8], charset: Charset) -> String {
    let text = charset.decode(raw);
    let text = match unescape_ampersands(&text) {
        Some(unescaped) => Cow::Owned(unescaped),
        None => htmlize::unescape_attribute(text),
    };
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return text.replace('\0', "\u{fffd}");
    }
    text.into_owned()
}

/// Decodes a value in which every reference is `&amp;`, as in most; `None` for any other.
fn unescape_ampersands(text: &str) -> Option<String> {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let (before, reference) = rest.split_at_checked(at)?;
        rest = reference.strip_prefix("&amp;")?;
        unescaped.push_str(before);
        unescaped.push('&');
    }
    unescaped.push_str(rest);
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_value(raw: &str) -> String {
        value(raw.as_bytes(), Charset::for_label(Some("utf-8")).unwrap())
    }

    #[test]
    fn references_follow_the_attribute_rule() {
        assert_eq!(decode_value("?a=1&amp;b=2"), "?a=1&b=2");
        assert_eq!(decode_value("?a=1&#38;b=2&#x26;c"), "?a=1&b=2&c");
        assert_eq!(decode_value("?a=1&amp;amp;b"), "?a=1&amp;b");
        assert_eq!(decode_value("?a=1&copy=2&times3&lt"), "?a=1&copy=2&times3<");
        assert_eq!(decode_value("?a&notit;&unknown;"), "?a&notit;&unknown;");
        assert_eq!(decode_value("&#x68;ttp&colon;//e"), "http://e");
        assert_eq!(decode_value("a&#0;b&#xD800;&#x110000;"), "a\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(decode_value("ex\0ample"), "ex\u{fffd}ample");
    }
}
