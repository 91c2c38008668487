//! Hits become lines, lines become durable, and none is lost or doubled on the way.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::id::{Ids, write_id};
use super::segments::{OpenError, Segments};
use super::{Client, Figures, Hit, HitLog, Limits, LineError};
use crate::token::{Engagement, Kind, LinkClaims, LinkPart, Position, Privacy, RecipientType};

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: Limits =
    Limits { max_queued: 1_000, batch: Duration::from_millis(10), segment_bytes: 1 << 20 };
const ID: &[u8; 36] = b"018bcfe5-687b-7abc-8def-0123456789ab";

/// A folder of one test; it is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("msys-track-log-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn segment(&self, log: &str, first: u64) -> PathBuf {
        self.0.join(log).join(format!("{first:020}.ndjson"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hit(privacy: Privacy) -> Hit {
    let engagement = Engagement {
        message_id: "0123456789abcdef0123".to_owned(),
        transmission_id: 7,
        injected_at: 1_700_000_000,
        lifetime_seconds: 10,
        customer_id: 0,
        subaccount_id: None,
        recipient: "jo@example.com".to_owned(),
        recipient_type: RecipientType::Cc,
        campaign_id: Some("spring \"24\"\u{1f}\u{7f}\n\\é".to_owned()),
        metadata: Some("{}".to_owned()),
        tags: vec!["a".to_owned(), "b".to_owned()],
        open_tracking: true,
        click_tracking: false,
        initial_pixel: false,
        amp_enabled: false,
        transactional: true,
        privacy,
    };
    let link = LinkClaims {
        kind: Kind::Click,
        target: Some("https://e.com/".to_owned()),
        name: None,
        position: NonZero::new(3).map(|number| Position { number, part: LinkPart::Html }),
    };
    let client = Client {
        address: Some("192.0.2.7".into()),
        agent: Some("curl/8".into()),
        language: Some("de".into()),
        request: Some("{\"a\":1}".into()),
    };
    Hit { engagement: Arc::new(engagement), link: Arc::new(link), at: 1_700_000_000_123, client }
}

fn line(hit: &Hit) -> String {
    let mut line = Vec::new();
    hit.write(ID, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_hit_is_a_line_of_json_without_what_is_unknown() {
    let expected = concat!(
        r#"{"id":"018bcfe5-687b-7abc-8def-0123456789ab","at":1700000000123,"kind":"click","#,
        r#""message_id":"0123456789abcdef0123","recipient":"jo@example.com","#,
        r#""recipient_type":"cc","injected_at":1700000000,"expires_at":1700000010,"#,
        r#""customer_id":0,"transmission_id":7,"#,
        r#""campaign_id":"spring \"24\"\u001f"#,
        "\u{7f}",
        r#"\n\\é","metadata":"{}","tags":["a","b"],"#,
        r#""options":["open_tracking","transactional"],"target":"https://e.com/","#,
        r#""link_number":3,"link_part":"html","address":"192.0.2.7","agent":"curl/8","#,
        r#""language":"de","request":{"a":1}}"#,
        "\n",
    );
    assert_eq!(line(&hit(Privacy::Full)), expected);
}

#[test]
fn privacy_cuts_or_drops_what_tells_of_the_reader() {
    let truncated = line(&hit(Privacy::Truncated));
    assert!(truncated.contains(r#""privacy":"truncated""#));
    assert!(truncated.contains(r#""address":"192.0.2.0","agent":"curl/8""#));
    let aggregate = line(&hit(Privacy::Aggregate));
    assert!(aggregate.contains(r#""privacy":"aggregate""#));
    for member in ["address", "agent", "language"] {
        assert!(!aggregate.contains(&format!("\"{member}\"")), "{aggregate}");
    }
}

#[test]
fn an_address_of_ipv6_is_cut_to_48_bits_and_junk_is_dropped() {
    for (address, cut) in [
        ("2001:db8:1:2::3", Some(r#""address":"2001:db8:1::""#)),
        ("fe80::1%eth0", None),
        ("unknown", None),
    ] {
        let mut hit = hit(Privacy::Truncated);
        hit.client.address = Some(address.into());
        let line = line(&hit);
        assert_eq!(line.contains("\"address\""), cut.is_some());
        assert!(line.contains(cut.unwrap_or_default()), "{line}");
    }
}

#[test]
fn an_id_has_the_time_the_version_the_variant_and_74_random_bits() {
    assert_eq!(&write_id(0x0123_4567_89ab, [0xff; 10]), b"01234567-89ab-7fff-bfff-ffffffffffff");
    assert_eq!(&write_id(u64::MAX, [0; 10]), b"ffffffff-ffff-7000-8000-000000000000");
    let random = [0xfc, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(&write_id(0, random), b"00000000-0000-7004-8203-040506070809");
}

#[test]
fn ids_differ_over_blocks_of_randomness() {
    let mut ids = Ids::default();
    let mut made: Vec<_> = (0..2_000).map(|_| ids.make(1).unwrap()).collect();
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 2_000);
}

#[test]
fn what_a_crash_left_is_dropped_and_the_sequence_goes_on() {
    let folder = Folder::new();
    let log = folder.0.join("0");
    for (times, torn) in (1..).zip(["", "{\"n\":", "\0\0\n\0"]) {
        let mut segments = Segments::open(&log, 1 << 20, 1).unwrap();
        append(&mut segments, "one\ntwo\n");
        drop(segments);
        let path = folder.segment("0", 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(torn.as_bytes());
        fs::write(&path, &bytes).unwrap();
        drop(Segments::open(&log, 1 << 20, 1).unwrap());
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines, "one\ntwo\n".repeat(times));
    }
}

#[test]
fn a_new_segment_is_named_by_its_first_line_and_nothing_spans_two() {
    let folder = Folder::new();
    let mut segments = Segments::open(&folder.0.join("0"), 5, 1).unwrap();
    for lines in ["one\n", "two\nthree\n", "four\n"] {
        append(&mut segments, lines);
    }
    assert_eq!(fs::read_to_string(folder.segment("0", 1)).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(fs::read_to_string(folder.segment("0", 4)).unwrap(), "four\n");
    let end = fs::read_to_string(folder.0.join("0/lock")).unwrap();
    assert_eq!(end, format!("{:020} {:020}\n", 4, 5));
}

#[test]
fn lines_whose_sync_failed_are_written_again_in_the_same_place() {
    let folder = Folder::new();
    let mut segments = Segments::open(&folder.0.join("0"), 1 << 20, 1).unwrap();
    append(&mut segments, "one\n");
    for lines in ["two\n", "two\nthree\n"] {
        assert_eq!(segments.write(lines.as_bytes()).0, lines.len());
        segments.rewind();
    }
    append(&mut segments, "two\nthree\n");
    append(&mut segments, "four\n");
    assert_eq!(read_all(&folder.0.join("0")), "one\ntwo\nthree\nfour\n");
    assert!(
        fs::read_to_string(folder.0.join("0/lock")).unwrap().ends_with(" 00000000000000000019\n")
    );
}

#[test]
fn more_than_may_wait_for_a_sync_is_written_in_parts() {
    let folder = Folder::new();
    let log = HitLog::open(&folder.0, Limits { batch: 60 * PATIENCE, ..LIMITS }).unwrap();
    let line = "x".repeat(1 << 20);
    for _ in 0..70 {
        assert_eq!(log.put_line(line.as_bytes()), Ok(true));
    }
    assert_eq!(log.close(PATIENCE), 0);
    let text = read_all(&folder.0.join("0"));
    assert_eq!(text.lines().count(), 70);
    assert!(text.lines().all(|each| each == line));
}

#[test]
fn a_file_ends_with_a_line_however_a_batch_is_cut() {
    let folder = Folder::new();
    let limits = Limits { batch: 60 * PATIENCE, segment_bytes: 1, ..LIMITS };
    let log = HitLog::open(&folder.0, limits).unwrap();
    let line = "x".repeat(100_000);
    for _ in 0..12 {
        assert_eq!(log.put_line(line.as_bytes()), Ok(true));
    }
    assert_eq!(log.close(PATIENCE), 0);
    let text = fs::read_to_string(folder.segment("0", 1)).unwrap();
    assert!(text.len() < 6 * line.len(), "{}", text.len());
    assert!(text.ends_with("x\n"));
    assert_eq!(read_all(&folder.0.join("0")), format!("{line}\n").repeat(12));
}

#[test]
fn the_first_log_that_is_free_is_taken() {
    let folder = Folder::new();
    let first = Segments::open_free(&folder.0, 1).unwrap();
    let second = Segments::open_free(&folder.0, 1).unwrap();
    assert_eq!(second.folder(), folder.0.join("1"));
    assert!(matches!(Segments::open(first.folder(), 1, 1), Err(OpenError::Locked)));
    drop(first);
    assert_eq!(Segments::open_free(&folder.0, 1).unwrap().folder(), folder.0.join("0"));
}

#[test]
fn lines_of_many_threads_are_all_written_each_thread_s_in_order() {
    let folder = Folder::new();
    let log = HitLog::open(&folder.0, Limits { max_queued: 100_000, ..LIMITS }).unwrap();
    thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let log = &log;
            scope.spawn(move || {
                for number in 0..5_000 {
                    assert_eq!(log.put_line(format!("{name}{number}").as_bytes()), Ok(true));
                }
            });
        }
    });
    assert!(log.flush(PATIENCE));
    assert_eq!(log.close(PATIENCE), 0);
    let text = read_all(&folder.0.join("0"));
    for name in ["a", "b", "c", "d"] {
        let own: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
        let expected: Vec<_> = (0..5_000).map(|number| format!("{name}{number}")).collect();
        assert_eq!(own, expected);
    }
}

#[test]
fn more_than_fits_is_dropped_and_counted() {
    let folder = Folder::new();
    let limits = Limits { max_queued: 2, batch: PATIENCE, ..LIMITS };
    let log = HitLog::open(&folder.0, limits).unwrap();
    assert!(log.put_hit(&hit(Privacy::Full)));
    assert_eq!(log.put_line(b"{}"), Ok(true));
    assert_eq!(log.put_line(b"{}"), Ok(false));
    assert_eq!(log.put_line(b""), Err(LineError));
    assert_eq!(log.put_line(b"a\nb"), Err(LineError));
    let figures = Figures { accepted: 2, dropped: 1, waiting: 2, ..Figures::default() };
    assert_eq!(log.figures(), figures);
    assert_eq!(log.close(PATIENCE), 0);
    assert!(!log.put_hit(&hit(Privacy::Full)));
    let figures = Figures { accepted: 2, written: 2, dropped: 2, ..Figures::default() };
    assert_eq!(log.figures(), figures);
}

#[test]
fn a_flush_does_not_wait_for_the_batch() {
    let folder = Folder::new();
    let log = HitLog::open(&folder.0, Limits { batch: 60 * PATIENCE, ..LIMITS }).unwrap();
    assert!(log.flush(Duration::ZERO), "nothing was put");
    assert_eq!(log.put_line(b"{}"), Ok(true));
    assert!(log.flush(PATIENCE));
}

#[test]
fn a_log_that_is_not_closed_writes_what_waits() {
    let folder = Folder::new();
    let log = HitLog::open(&folder.0, Limits { batch: 60 * PATIENCE, ..LIMITS }).unwrap();
    assert_eq!(log.put_line(b"{}"), Ok(true));
    drop(log);
    let ends = Instant::now() + PATIENCE;
    while read_all(&folder.0.join("0")) != "{}\n" && Instant::now() < ends {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_all(&folder.0.join("0")), "{}\n");
}

fn append(segments: &mut Segments, lines: &str) {
    if segments.is_finished().unwrap() {
        segments.begin_next().unwrap();
    }
    let (length, result) = segments.write(lines.as_bytes());
    result.unwrap();
    segments.file().sync_data().unwrap();
    segments.note_synced(length, lines.lines().count());
}

fn read_all(log: &Path) -> String {
    let mut paths: Vec<_> = fs::read_dir(log).unwrap().map(|each| each.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}
