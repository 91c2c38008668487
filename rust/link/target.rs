//! Targets: what of an `href` a tracked link leads to.

use crate::reason::Reason;

/// The target of a link: what a browser hands to its URL parser, and nothing done to it.
///
/// Leading and trailing spaces and controls, and tabs and line breaks anywhere, are dropped as
/// the URL Standard does. No percent-encoding, no change of case or order.
#[must_use]
pub fn target(href: &str) -> String {
    let trimmed = href.trim_matches(|c: char| c <= ' ');
    if memchr::memchr3(b'\t', b'\r', b'\n', trimmed.as_bytes()).is_none() {
        return trimmed.to_owned();
    }
    trimmed.replace(['\t', '\r', '\n'], "")
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
            assert_eq!(target(url), url);
            assert_eq!(check(url), Ok(()));
        }
    }

    #[test]
    fn white_space_goes_as_in_a_browser() {
        assert_eq!(target(" \thttp://e.com/ \r\n"), "http://e.com/");
        assert_eq!(target("ht\ntp://e.\tcom/a b"), "http://e.com/a b");
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
}
