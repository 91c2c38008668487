//! Laws that hold for any HTML, checked by the tests and by `fuzzing`.

use super::found::HtmlScan;
use super::lol::{by_lol_html, scan, with_comments};
use crate::charset::Charset;
use crate::link::Place;
use crate::reason::Reason;

/// Scans a document, and checks that both readers find the same in it.
///
/// # Errors
/// As [`scan`].
///
/// # Panics
/// A law does not hold.
pub(crate) fn check(html: &[u8], charset: Charset) -> Result<HtmlScan, Reason> {
    let found = scan(html, charset)?;
    let mut theirs = with_comments(by_lol_html(html, charset)?, html, charset)?;
    let mut ours = found.clone();
    if ours != theirs {
        // Masks miss what is Outlook's behind what only looks like a comment.
        for scan in [&mut ours, &mut theirs] {
            scan.links.retain(|link| link.place == Place::Html);
            scan.attributes.retain(|(_, place)| *place == Place::Html);
        }
    }
    assert_eq!(ours, theirs, "{}", html.escape_ascii());
    assert!(found.links.is_sorted_by_key(|link| link.href.start));
    for link in &found.links {
        assert!(link.href.start <= link.href.end && link.href.end.0 <= html.len());
    }
    assert!([found.pixel, found.initial_pixel].into_iter().flatten().all(|at| at.0 <= html.len()));
    Ok(found)
}
