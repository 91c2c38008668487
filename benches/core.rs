//! The core by itself, on the mails that `msys-track bench` has: what `cargo bench` runs.
//!
//! `cargo bench -- plan` runs what has that name. The numbers are times of this machine; what they
//! mean beside other people's code is measured from Python, in interleaved rounds.

#![expect(clippy::unwrap_used, reason = "a bench has no caller to tell")]

mod claims;

use std::fmt;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use lol_html::{HtmlRewriter, Settings};
use msys_track::charset::Charset;
use msys_track::plan::{Plan, Rules};
use msys_track::stream::{HtmlStream, Sealing};
use msys_track::token::{EncodedEngagement, EncodedLink, Engagement, KeyRing, Kind, LinkClaims};
use msys_track::tracked::{TrackedPlan, TrackedUrls};

const CHUNK: usize = 65_536;
const LINKS: u8 = 26;

macro_rules! mail {
    ($name:literal) => {
        Mail {
            name: $name,
            bytes: include_bytes!(concat!(
                "../python/msys_track/comparison/mails/", $name, ".eml"
            )),
        }
    };
}

/// Newsletters laid out as compilers of templates do, and a shop's confirmation of an order.
const MAILS: [Mail; 4] =
    [mail!("newsletter-80"), mail!("newsletter-80-qp"), mail!("newsletter-10"), mail!("order")];
/// Those of one part in 8bit: what follows the header section is HTML.
const PAGES: [Mail; 2] = [mail!("newsletter-80"), mail!("newsletter-10")];

#[derive(Clone, Copy)]
struct Mail {
    name: &'static str,
    bytes: &'static [u8],
}

impl Mail {
    fn html(&self) -> &'static [u8] {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        self.bytes.get(end + 4..).unwrap()
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn main() {
    divan::main();
}

/// Finds what can be tracked in a message.
#[divan::bench(args = MAILS)]
fn plan(bencher: Bencher<'_, '_>, mail: &Mail) {
    let bytes = BytesCount::of_slice(mail.bytes);
    bencher.counter(bytes).bench(|| Plan::new(black_box(mail.bytes), &Rules::default(), &[]));
}

/// A plan, and the copy of one recipient.
#[divan::bench(args = MAILS)]
fn first_copy(bencher: Bencher<'_, '_>, mail: &Mail) {
    let tracker = Tracker::new();
    bencher.counter(BytesCount::of_slice(mail.bytes)).bench(|| {
        let plan = Plan::new(black_box(mail.bytes), &Rules::default(), &[]);
        tracker.copy(&TrackedPlan::new(plan))
    });
}

/// The copy of one recipient more, from the same plan.
#[divan::bench(args = MAILS)]
fn next_copy(bencher: Bencher<'_, '_>, mail: &Mail) {
    let tracker = Tracker::new();
    let plan = TrackedPlan::new(Plan::new(mail.bytes, &Rules::default(), &[]));
    let bytes = BytesCount::of_slice(mail.bytes);
    bencher.counter(bytes).bench(|| tracker.copy(black_box(&plan)));
}

/// An HTML document that goes by in chunks of 64 KiB.
#[divan::bench(args = PAGES)]
fn stream(bencher: Bencher<'_, '_>, page: &Mail) {
    let tracker = Tracker::new();
    let html = page.html();
    bencher.counter(BytesCount::of_slice(html)).bench(|| tracker.stream(black_box(html)));
}

/// `lol_html` without a handler: the pass that nothing built upon it can beat.
#[divan::bench(args = PAGES)]
fn lol_html_alone(bencher: Bencher<'_, '_>, page: &Mail) {
    let html = page.html();
    bencher.counter(BytesCount::of_slice(html)).bench(|| {
        let mut output = Vec::with_capacity(html.len());
        let settings = Settings::new().with_strict(false);
        let mut rewriter =
            HtmlRewriter::new(settings, |chunk: &[u8]| output.extend_from_slice(chunk));
        rewriter.write(black_box(html)).unwrap();
        rewriter.end().unwrap();
        output
    });
}

/// The links of a copy: claims encoded before, sealed and written as paths.
#[divan::bench]
fn seal_26_links(bencher: Bencher<'_, '_>) {
    let keys = keys();
    let engagement = EncodedEngagement::new(&engagement());
    let links: Vec<_> = (0..LINKS).map(|number| EncodedLink::new(&link(number))).collect();
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(links.len())).bench_local(|| {
        out.clear();
        let mut sealer = keys.sealer(engagement.clone());
        for number in 0..links.len() {
            sealer.seal_nth_into(black_box(&links), number, &mut out).unwrap();
        }
        out.len()
    });
}

/// What a click costs the tracker's cryptography.
#[divan::bench]
fn open_a_link(bencher: Bencher<'_, '_>) {
    let keys = keys();
    let path = keys.seal(&engagement(), &link(0)).unwrap();
    bencher.bench(|| keys.open(black_box(&path)));
}

/// What copies are made with.
struct Tracker {
    keys: KeyRing,
    engagement: Engagement,
    urls: TrackedUrls,
}

impl Tracker {
    fn new() -> Self {
        let urls = TrackedUrls::new("click.shop.example", "https", "https", true, true).unwrap();
        Self { keys: keys(), engagement: engagement(), urls }
    }

    fn copy(&self, plan: &TrackedPlan<&[u8]>) -> Vec<u8> {
        let rendered = plan.render(&self.keys, &self.engagement, &self.urls, &[]).unwrap();
        let mut copy = vec![0; rendered.rendering.length()];
        plan.plan().write(&rendered.rendering, &mut copy).unwrap();
        copy
    }

    fn stream(&self, html: &[u8]) -> Vec<u8> {
        let sealing = Sealing { keys: &self.keys, engagement: &self.engagement, urls: &self.urls };
        let charset = Charset::for_label(None).unwrap();
        let mut stream = HtmlStream::new(charset, Rules::default(), &self.engagement);
        let mut out = Vec::with_capacity(html.len() * 2);
        for chunk in html.chunks(CHUNK) {
            stream.write(chunk, &sealing, &mut out);
        }
        stream.end(&sealing, &mut out);
        out
    }
}

fn keys() -> KeyRing {
    KeyRing::new(&[(3, [7; 32])]).unwrap()
}

fn link(number: u8) -> LinkClaims {
    let target = format!("https://shop.example/{number}?utm_source=newsletter&utm_medium=email");
    LinkClaims { kind: Kind::Click, target: Some(target), name: None, position: None }
}

fn engagement() -> Engagement {
    let metadata = r#"{"customer":"c-00481516231","locale":"de_AT"}"#;
    claims::engagement("jo.reader@example.org", Some("autumn-2026"), metadata)
}
