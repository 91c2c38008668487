//! The law of streams, checked by the tests and by `fuzzing`: a stream gives what the plan gives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{HtmlStream, MAX_HELD, MAX_TOKEN, Progress, SLICE, Sealing};
use crate::charset::Charset;
use crate::plan::{Plan, Rules};
use crate::token::{Engagement, KeyRing, laws};
use crate::tracked::{Rendered, TrackedPlan, TrackedUrls};

/// The keys and the tracker of a document's links.
pub(crate) fn tracker() -> (KeyRing, TrackedUrls) {
    let ring = laws::ring().unwrap_or_else(|| unreachable!("a key"));
    let urls = TrackedUrls::new("t.test", "https", "https", true, true);
    (ring, urls.unwrap_or_else(|error| unreachable!("{error}")))
}

/// The charset of a document that names none.
pub(crate) fn charset() -> Charset {
    Charset::for_label(None).unwrap_or_else(|reason| unreachable!("{reason:?}"))
}

/// What becomes of a document that comes in these chunks, and what was done.
///
/// # Panics
/// Too much is held back.
pub(crate) fn stream(
    chunks: &[&[u8]],
    rules: &Rules,
    engagement: &Engagement,
) -> (Vec<u8>, Progress) {
    let (keys, urls) = tracker();
    let sealing = Sealing { keys: &keys, engagement, urls: &urls };
    let mut stream = HtmlStream::new(charset(), rules.clone(), engagement);
    let mut out = Vec::new();
    for chunk in chunks {
        stream.write(chunk, &sealing, &mut out);
        assert!(stream.held.len() <= MAX_HELD + MAX_TOKEN + SLICE);
    }
    stream.end(&sealing, &mut out);
    (out, stream.progress)
}

/// What the plan makes of it as the one part of a message; in base64 no line has a length.
pub(crate) fn plan(html: &[u8], rules: &Rules, engagement: &Engagement) -> (Vec<u8>, Rendered) {
    let head = "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    let message = format!("{head}{}", STANDARD.encode(html));
    let plan = TrackedPlan::new(Plan::new(message.as_bytes(), rules, &[]));
    let (keys, urls) = tracker();
    let rendered = plan
        .render(&keys, engagement, &urls, &[])
        .unwrap_or_else(|error| unreachable!("without insertions: {error}"));
    let mut copy = vec![0; rendered.rendering.length()];
    assert!(plan.plan().write(&rendered.rendering, &mut copy).is_some());
    let mut body = copy.split_off(head.len());
    body.retain(|byte| !byte.is_ascii_whitespace());
    (STANDARD.decode(body).unwrap_or_default(), rendered)
}

/// Checks that the stream gives what the plan gives.
///
/// # Panics
/// It does not.
pub(crate) fn check(html: &[u8], chunks: &[&[u8]], rules: &Rules, engagement: &Engagement) {
    let (planned, rendered) = plan(html, rules, engagement);
    let (streamed, progress) = stream(chunks, rules, engagement);
    assert!(
        streamed == planned,
        "{} is not {} for {:?}",
        streamed.escape_ascii(),
        planned.escape_ascii(),
        chunks.iter().map(|chunk| chunk.escape_ascii().to_string()).collect::<Vec<_>>()
    );
    assert_eq!(progress.wrapped_links, rendered.rendering.links);
    assert_eq!(progress.pixels, rendered.rendering.pixels);
}
