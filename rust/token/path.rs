//! The paths that tokens stand in, and what of a path that a client asks for is the token.
//!
//! Mail clients and plain-text scanners append `.`, `)`, `>`, a slash or a query to a URL. What
//! cannot be part of a token any more is left off here; everything before it is authenticated.

use crate::link::sublink;

/// The form of a tracked URL's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `f/<sublink>/<token>`: leads to a target. Phones open an app for some sublinks.
    Click,
    /// `q/<token>`: an image.
    Open,
    /// `u/<token>`: the address of the `List-Unsubscribe` field.
    Unsubscribe,
}

impl Route {
    /// What stands before the token's slash; without another sublink it is `a`.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Click => "f/a",
            Self::Open => "q",
            Self::Unsubscribe => "u",
        }
    }
}

/// No claims make a shorter token: so a short segment after a sublink is one more sublink.
pub(super) const MIN_TOKEN: usize = 36;

/// A path in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path<'p> {
    /// Its form.
    pub(super) route: Route,
    /// What stands before the token's slash, as it came: associated data.
    pub(super) prefix: &'p [u8],
    /// The token, without what a client appended.
    pub(super) token: &'p [u8],
}

impl<'p> Path<'p> {
    /// Splits `f/…`, `q/…` or `u/…`, with or without the leading slash.
    pub(super) fn parse(path: &'p str) -> Option<Self> {
        let path = path.strip_prefix('/').unwrap_or(path).as_bytes();
        let (letter, rest) = path.split_at_checked(1)?;
        let rest = rest.strip_prefix(b"/")?;
        match letter {
            b"f" => Self::click(path, rest),
            b"q" => Some(Self { route: Route::Open, prefix: letter, token: token_in(rest)? }),
            b"u" => {
                Some(Self { route: Route::Unsubscribe, prefix: letter, token: token_in(rest)? })
            }
            _ => None,
        }
    }

    /// The token is the last segment that is long enough for one, and not the first of all.
    fn click(path: &'p [u8], sublinks: &'p [u8]) -> Option<Self> {
        let end = count_while(sublinks, |byte| byte == b'/' || sublink::is_character(byte));
        let sublinks = sublinks.get(..end)?;
        let (slash, token) = memchr::memrchr_iter(b'/', sublinks).find_map(|slash| {
            sublinks.get(slash + 1..).and_then(token_in).map(|token| (slash, token))
        })?;
        let good = sublinks.get(..slash)?.split(|&byte| byte == b'/').all(sublink::is_segment);
        let prefix = path.get(.."f/".len() + slash)?;
        good.then_some(Self { route: Route::Click, prefix, token })
    }
}

fn token_in(segment: &[u8]) -> Option<&[u8]> {
    let length = count_while(segment, is_base64url);
    segment.get(..length).filter(|token| token.len() >= MIN_TOKEN)
}

/// How many bytes at the beginning are good; whole blocks are looked at in one go.
fn count_while(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let is_whole = |block: &&[u8; 32]| block.iter().fold(true, |all, byte| all & is_good(*byte));
    let start = 32 * blocks.iter().take_while(is_whole).count();
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !is_good(*byte)).unwrap_or(rest.len())
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}
