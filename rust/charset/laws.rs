//! Laws that hold for a text in any charset, checked by the property tests and by `fuzzing`.

use super::scheme::{Order, Scheme};
use super::transcoding::Transcoded;

pub(crate) const SCHEMES: [Scheme; 11] = [
    Scheme::Utf16(None),
    Scheme::Utf16(Some(Order::Little)),
    Scheme::Utf16(Some(Order::Big)),
    Scheme::Utf32(None),
    Scheme::Utf32(Some(Order::Little)),
    Scheme::Utf32(Some(Order::Big)),
    Scheme::Utf7,
    Scheme::Hz,
    Scheme::Iso2022Jp,
    Scheme::Iso2022Kr,
    Scheme::Iso2022Cn,
];

/// What is put in, and what in the place of something.
const PIXEL: &str = "\r\n<img>";
const URL: &str = "https://t.example/f/a/T-K_";

/// Checks that what is put into a part is all that changes in its text.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check(source: &[u8], scheme: Scheme) {
    let Ok(read) = Transcoded::read(source, scheme) else { return };
    let edited = |from: usize, to: usize, ascii: &str| {
        let mut edited = source.get(..from).unwrap_or_default().to_vec();
        edited.extend_from_slice(ascii.as_bytes());
        read.script.rewrite(&mut edited, from);
        edited.extend_from_slice(source.get(to..).unwrap_or_default());
        // What is no text of that charset may be one with more ASCII in it, in another order.
        Transcoded::read(&edited, scheme).ok().filter(|again| again.script == read.script)
    };
    let expected = |start: usize, end: usize, ascii: &str| {
        let [before, after] = [read.text.get(..start), read.text.get(end..)];
        [before.unwrap_or_default(), ascii, after.unwrap_or_default()].concat()
    };
    let starts = read.text.char_indices().map(|(at, _)| at);
    for at in starts.chain([read.text.len()]).take(200) {
        let Some(place) = read.insertion(at) else { continue };
        let Some(again) = edited(place, place, PIXEL) else { continue };
        assert_eq!(again.text, expected(at, at, PIXEL), "{}", source.escape_ascii());
    }
    for (start, piece) in read.text.match_indices("http://e.com/").take(50) {
        let end = start + piece.len();
        let Some((from, to)) = read.range(start, end) else { continue };
        let Some(again) = edited(from, to, URL) else { continue };
        assert_eq!(again.text, expected(start, end, URL), "{}", source.escape_ascii());
    }
}
