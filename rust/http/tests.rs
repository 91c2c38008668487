//! What the core answers by itself, and what it leaves; that both ways agree is tested in Python.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::{ClickPath, Counts, Exceptions, Hits, Limits, Replies, Rings};
use crate::log::Hit;
use crate::token::{Engagement, KeyRing, Kind, LinkClaims, Privacy, RecipientType};

const AT: u64 = 1_460_989_507_250;
const INJECTED_AT: u64 = 1_460_989_500;
const TARGET: &str = "https://shop.test/sale?a=1&b=";

#[derive(Default)]
struct Kept(Mutex<Vec<Hit>>);

impl Hits for Kept {
    fn put(&self, hit: Hit) {
        self.0.lock().unwrap().push(hit);
    }
}

impl Kept {
    fn take(&self) -> Vec<Hit> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn ring(number: u8) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&[(1, [number; 32])]).unwrap())
}

fn engagement() -> Engagement {
    Engagement {
        message_id: "000443ee14578172be22".to_owned(),
        transmission_id: 7,
        injected_at: INJECTED_AT,
        lifetime_seconds: 60,
        customer_id: 1,
        subaccount_id: None,
        recipient: "Reader@example.com".to_owned(),
        recipient_type: RecipientType::To,
        campaign_id: None,
        metadata: None,
        tags: vec![],
        open_tracking: true,
        click_tracking: true,
        initial_pixel: false,
        amp_enabled: false,
        transactional: false,
        privacy: Privacy::Full,
    }
}

fn path_to(keys: &KeyRing, kind: Kind, target: Option<&str>, about: &Engagement) -> String {
    let target = target.map(str::to_owned);
    let link = LinkClaims { kind, target, name: None, position: None };
    format!("/{}", keys.seal(about, &link).unwrap())
}

fn click_path(exceptions: Exceptions) -> ClickPath {
    let by_host = HashMap::from([("tenant.test".to_owned(), ring(2))]);
    let replies = Replies {
        redirect_start: b"302 ".to_vec(),
        redirect_end: b"\r\n".to_vec(),
        pixel_head: b"200\r\n".to_vec(),
        pixel_body: b"GIF".to_vec(),
    };
    let limits =
        Limits { max_target_bytes: 4_096, max_header_bytes: 400, max_headers: 6, max_requests: 4 };
    let trusted = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    ClickPath::new(Rings::new(ring(1), by_host), replies, limits, trusted, exceptions)
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: click.test\r\n{fields}\r\n")
}

fn answer(path: &ClickPath, read: &str, peer: &str, hits: &Kept) -> Option<String> {
    let answer = path.answer(read.as_bytes(), Some(peer), AT, hits)?;
    Some(String::from_utf8(answer.bytes).unwrap())
}

#[test]
fn a_click_is_redirected_and_leaves_a_hit() {
    let (path, hits) = (click_path(Exceptions::default()), Kept::default());
    let click = path_to(&ring(1), Kind::Click, Some(TARGET), &engagement());
    let read = get(&click, "User-Agent: Mozilla/5.0\r\nAccept-Language: de\r\n");
    let expected = format!("302 {TARGET}\r\nDate: Mon, 18 Apr 2016 14:25:07 GMT\r\n\r\n");
    assert_eq!(answer(&path, &read, "192.0.2.1", &hits), Some(expected));
    let [hit] = &hits.take()[..] else { panic!("not one hit") };
    assert_eq!((hit.at, hit.link.target.as_deref()), (AT, Some(TARGET)));
    assert_eq!(*hit.engagement, engagement());
    assert_eq!(hit.client.address.as_deref(), Some("192.0.2.1"));
    assert_eq!(hit.client.agent.as_deref(), Some("Mozilla/5.0"));
    assert_eq!(hit.client.language.as_deref(), Some("de"));
    assert_eq!(path.take_counts(), Counts { clicks: 1, opens: 0 });
    assert_eq!(path.take_counts(), Counts::default());
}

#[test]
fn requests_of_one_read_are_answered_in_their_order_and_the_last_may_close() {
    let (path, hits) = (click_path(Exceptions::default()), Kept::default());
    let click = get(&path_to(&ring(1), Kind::Click, Some(TARGET), &engagement()), "");
    let open = path_to(&ring(1), Kind::Open, None, &engagement());
    let read = format!("{click}{}", get(&open, "Connection: close\r\n"));
    let answer = path.answer(read.as_bytes(), None, AT, &hits).unwrap();
    assert!(answer.closes);
    assert!(answer.bytes.starts_with(b"302 ") && answer.bytes.ends_with(b"close\r\n\r\nGIF"));
    let kinds: Vec<_> = hits.take().iter().map(|hit| hit.link.kind).collect();
    assert_eq!(kinds, [Kind::Click, Kind::Open]);
    assert_eq!(path.answer(format!("{read}{click}").as_bytes(), None, AT, &hits), None);
    assert!(path.answer(click.repeat(3).as_bytes(), None, AT, &hits).is_some());
    assert_eq!(path.answer(click.repeat(4).as_bytes(), None, AT, &hits), None);
    assert_eq!(path.take_counts(), Counts { clicks: 4, opens: 1 });
}

#[test]
fn what_is_not_plain_is_left_and_nothing_recorded_of_it() {
    let exceptions = Exceptions {
        targets: HashSet::from(["https://shop.test/gone".to_owned()]),
        recipients: HashSet::from(["gone@example.com".to_owned()]),
        hashes: HashSet::new(),
    };
    let (path, hits) = (click_path(exceptions), Kept::default());
    let keys = ring(1);
    let click = path_to(&keys, Kind::Click, Some(TARGET), &engagement());
    for fields in [
        "Content-Length: 0\r\n",
        "transfer-encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: h2c\r\n",
        "Connection: upgrade\r\n",
        "Connection: close\r\nConnection: close\r\n",
        "Host: click.test\r\n",
        "Sec-Purpose: prefetch\r\n",
        "Purpose: prefetch\r\n",
        "X-Purpose: preview\r\n",
        "X-Moz: prefetch\r\n",
        "A:b\r\n",
        "A:\r\n",
        "A: \r\n",
        "A: b \r\n",
        "A: \u{e4}\r\n",
        "A : b\r\n",
        "A: b\r\n c\r\n",
        "A: b\n",
        "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\n",
        &format!("A: {}\r\n", "b".repeat(400)),
    ] {
        assert_eq!(answer(&path, &get(&click, fields), "192.0.2.1", &hits), None, "{fields}");
    }
    let about = |recipient: &str, lifetime_seconds| Engagement {
        recipient: recipient.to_owned(),
        lifetime_seconds,
        ..engagement()
    };
    for target in [
        click.replace("/f/a/", "/f/b/"),
        click.replace("/f/", "/q/"),
        format!("{click}."),
        format!("{click}#a"),
        format!("{click}?a=%27"),
        format!("{click}?a=<b>"),
        click.replacen('/', "/f/../", 1),
        format!("http://click.test{click}"),
        path_to(&ring(2), Kind::Click, Some(TARGET), &engagement()),
        path_to(&keys, Kind::LinkUnsubscribe, Some(TARGET), &engagement()),
        path_to(&keys, Kind::ListUnsubscribe, None, &engagement()),
        path_to(&keys, Kind::Click, None, &engagement()),
        path_to(&keys, Kind::Click, Some("https://shop.test/a b"), &engagement()),
        path_to(&keys, Kind::Click, Some("https://shop.test/\u{e4}"), &engagement()),
        path_to(&keys, Kind::Click, Some("https://shop.test/\r\nA: b"), &engagement()),
        path_to(&keys, Kind::Click, Some("ftp://shop.test/"), &engagement()),
        path_to(&keys, Kind::Click, Some("http://"), &engagement()),
        path_to(&keys, Kind::Click, Some("https://shop.test/gone"), &engagement()),
        path_to(&keys, Kind::Click, Some(TARGET), &about("Gone@Example.com", 60)),
        path_to(&keys, Kind::Click, Some(TARGET), &about("\u{e4}@example.com", 60)),
        path_to(&keys, Kind::Click, Some(TARGET), &about("a@example.com", 7)),
    ] {
        assert_eq!(answer(&path, &get(&target, ""), "192.0.2.1", &hits), None, "{target}");
    }
    let read = get(&click, "");
    for read in [
        &read[..read.len() - 1],
        &format!("{read}G"),
        &format!("{read}\r\n"),
        &read.replace("GET", "HEAD"),
        &read.replace("HTTP/1.1", "HTTP/1.0"),
        &read.replace("Host: click.test\r\n", ""),
        &read.replace("click.test", "[::1]"),
        &read.replace("click.test", "click.test:"),
        &read.replace("\r\n", "\n"),
    ] {
        assert_eq!(answer(&path, read, "192.0.2.1", &hits), None, "{read}");
    }
    assert!(hits.take().is_empty());
    assert_eq!(path.take_counts(), Counts::default());
}

#[test]
fn a_withdrawn_recipient_is_known_by_a_digest_too() {
    let digest = "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2"; // "test\n"
    let byte = |at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap();
    let bytes: Vec<_> = (0..64).step_by(2).map(byte).collect();
    let hashes = HashSet::from([bytes.try_into().unwrap()]);
    let path = click_path(Exceptions { hashes, ..Exceptions::default() });
    for (recipient, is_answered) in [("TEST\n", false), ("a@example.com", true)] {
        let about = Engagement { recipient: recipient.to_owned(), ..engagement() };
        let read = get(&path_to(&ring(1), Kind::Open, None, &about), "");
        let answer = answer(&path, &read, "192.0.2.1", &Kept::default());
        assert_eq!(answer.is_some(), is_answered, "{recipient}");
    }
}

#[test]
fn each_host_has_its_keys() {
    let (path, hits) = (click_path(Exceptions::default()), Kept::default());
    for (number, host, is_answered) in [
        (1, "click.test", true),
        (1, "tenant.test", false),
        (2, "tenant.test", true),
        (2, "Tenant.TEST.:8080", true),
        (2, "click.test", false),
    ] {
        let click = path_to(&ring(number), Kind::Click, Some(TARGET), &engagement());
        let read = get(&click, "").replace("click.test", host);
        let answer = answer(&path, &read, "192.0.2.1", &hits);
        assert_eq!(answer.is_some(), is_answered, "{number} {host}");
    }
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let (path, hits) = (click_path(Exceptions::default()), Kept::default());
    let open = path_to(&ring(1), Kind::Open, None, &engagement());
    for (peer, forwarded, client) in [
        ("192.0.2.1", "203.0.113.7", Some("192.0.2.1")),
        ("10.0.0.1", "203.0.113.7", Some("203.0.113.7")),
        ("10.0.0.1", "6.6.6.6,203.0.113.7 , 10.9.9.9", Some("203.0.113.7")),
        ("10.0.0.1", "10.8.8.8", Some("10.8.8.8")),
        ("2001:db8::1", "2001:DB9:0::7", Some("2001:db9::7")),
        ("10.0.0.1", "::ffff:203.0.113.7", Some("203.0.113.7")),
        ("10.0.0.1", "203.0.113.7:4711", None),
        ("10.0.0.1", "fe80::1%eth0", None),
        ("10.0.0.1", "unknown", None),
        ("10.0.0.1", "203.0.113.7,", None),
    ] {
        let read = get(&open, &format!("X-Forwarded-For: {forwarded}\r\n"));
        let answer = answer(&path, &read, peer, &hits);
        assert_eq!(answer.is_some(), client.is_some(), "{forwarded}");
        let found = hits.take().pop().and_then(|hit| hit.client.address);
        assert_eq!(found.as_deref(), client, "{forwarded}");
    }
    let twice = get(&open, "X-Forwarded-For: 203.0.113.7\r\nx-forwarded-for: 203.0.113.8\r\n");
    assert_eq!(answer(&path, &twice, "10.0.0.1", &hits), None);
}

#[test]
fn networks_are_read_and_matched_to_their_last_bit() {
    for text in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/-1"] {
        assert!(text.parse::<super::Network>().is_err(), "{text}");
    }
    let open = path_to(&ring(1), Kind::Open, None, &engagement());
    let read = get(&open, "X-Forwarded-For: 203.0.113.7\r\n");
    for (network, peer, is_trusted) in [
        ("0.0.0.0/0", "255.0.0.1", true),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "::1", true),
        ("192.0.2.4/31", "192.0.2.5", true),
        ("192.0.2.4/31", "192.0.2.6", false),
        ("192.0.2.4/32", "192.0.2.4", true),
        ("::1/128", "::2", false),
    ] {
        let mut path = click_path(Exceptions::default());
        path.trust(vec![network.parse().unwrap()]);
        let hits = Kept::default();
        assert!(answer(&path, &read, peer, &hits).is_some());
        let address = hits.take().pop().unwrap().client.address.unwrap();
        assert_eq!(&*address == "203.0.113.7", is_trusted, "{network} {peer}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail_or_redirect_elsewhere(
        at in any::<prop::sample::Index>(),
        cut in 0..40_usize,
        put in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let (path, hits) = (click_path(Exceptions::default()), Kept::default());
        let click = path_to(&ring(1), Kind::Click, Some(TARGET), &engagement());
        let mut read = get(&click, "User-Agent: a\r\n").into_bytes();
        let at = at.index(read.len());
        read.splice(at..read.len().min(at + cut), put);
        if let Some(answer) = path.answer(&read, Some("192.0.2.1"), AT, &hits) {
            let redirect = format!("302 {TARGET}\r\n");
            prop_assert!(answer.bytes.starts_with(redirect.as_bytes()));
            prop_assert_eq!(hits.take().len(), 1);
        }
    }
}
