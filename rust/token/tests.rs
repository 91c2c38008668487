use proptest::option;
use proptest::prelude::*;

use super::path::MIN_TOKEN;
use super::*;
use crate::link::sublink::Sublink;

const KEY: [u8; 32] = [7; 32];

fn engagement() -> Engagement {
    Engagement {
        message_id: "00066d2bb36a0f10a4d3".to_owned(),
        transmission_id: 0,
        injected_at: 1_790_000_000,
        lifetime_seconds: 31_536_000,
        customer_id: 1,
        subaccount_id: None,
        recipient: "firstname.last@gmail.com".to_owned(),
        recipient_type: RecipientType::To,
        campaign_id: Some("spring_sale1".to_owned()),
        metadata: Some(r#"{"user_id":"8134","plan":"premium"}"#.to_owned()),
        tags: Vec::new(),
        open_tracking: true,
        click_tracking: true,
        initial_pixel: false,
        amp_enabled: false,
        transactional: false,
    }
}

fn smallest_engagement() -> Engagement {
    Engagement {
        message_id: String::new(),
        injected_at: 0,
        lifetime_seconds: 0,
        recipient: String::new(),
        campaign_id: None,
        metadata: None,
        ..engagement()
    }
}

fn click(target: &str) -> LinkClaims {
    LinkClaims { kind: Kind::Click, target: Some(target.to_owned()), name: None }
}

fn pixel() -> LinkClaims {
    LinkClaims { kind: Kind::Open, target: None, name: None }
}

fn ring() -> KeyRing {
    KeyRing::new(vec![(3, KEY)]).unwrap()
}

fn seal_claims() -> String {
    ring().seal(&engagement(), &click("https://www.example.com/shop?utm_source=mail")).unwrap()
}

#[test]
fn what_a_client_appends_is_ignored() {
    let path = seal_claims();
    let junk =
        [".", ")", ">", " ", "/", "//", "%20", "?utm_source=x", "#top", "…", ".html", "=", "/a"];
    for junk in junk {
        assert!(ring().open(&format!("{path}{junk}")).is_ok(), "{junk}");
    }
}

#[test]
fn no_changed_bit_of_a_path_opens() {
    let ring = ring();
    let pixel_path = ring.seal(&engagement(), &pixel()).unwrap();
    let unsubscribe = LinkClaims { kind: Kind::ListUnsubscribe, ..pixel() };
    let unsubscribe_path = ring.seal(&smallest_engagement(), &unsubscribe).unwrap();
    for path in [seal_claims(), pixel_path, unsubscribe_path] {
        for (at, bit) in (0..path.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut changed = path.clone().into_bytes();
            changed[at] ^= 1 << bit;
            // Eight-bit bytes reach the tracker as the characters of that number.
            let changed: String = changed.into_iter().map(char::from).collect();
            assert!(ring.open(&changed).is_err(), "{path}: bit {bit} of byte {at}");
        }
    }
}

#[test]
fn no_other_character_at_any_place_opens() {
    let path = seal_claims();
    for at in 0..path.len() {
        for other in
            (0x20..0x7F).map(char::from).filter(|&other| other != char::from(path.as_bytes()[at]))
        {
            let changed = format!("{}{other}{}", &path[..at], &path[at + 1..]);
            assert!(ring().open(&changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn no_cut_or_lengthened_token_opens() {
    let path = seal_claims();
    for length in 0..path.len() {
        assert!(ring().open(&path[..length]).is_err(), "{length}");
    }
    for more in ["A", "AA", "AAA", "AAAA", "-", "_"] {
        assert!(ring().open(&format!("{path}{more}")).is_err(), "{more}");
    }
}

#[test]
fn a_token_opens_at_its_own_route_only() {
    let path = seal_claims();
    let token = path.strip_prefix("f/a/").unwrap();
    for route in ["q/", "u/", "f/b/", "f/a/a/", "f/", "f//", "f/A/", "e/", "f/a/../a/"] {
        assert!(ring().open(&format!("{route}{token}")).is_err(), "{route}");
    }
}

#[test]
fn a_ring_has_keys_of_different_numbers() {
    assert_eq!(KeyRing::new(vec![]).unwrap_err(), KeyRingError::Empty);
    let twice = KeyRing::new(vec![(3, KEY), (3, [8; 32])]);
    assert_eq!(twice.unwrap_err(), KeyRingError::DuplicateId(3));
}

#[test]
fn a_ring_shows_no_key() {
    assert_eq!(format!("{:?}", ring()), "[3]");
}

#[test]
fn a_bare_engagement_lacks_its_metadata_alone() {
    let mut path = Vec::new();
    let link = EncodedLink::new(&pixel());
    ring().seal_into(&EncodedEngagement::bare(&engagement()), &link, &mut path).unwrap();
    let claims = ring().open(std::str::from_utf8(&path).unwrap()).unwrap();
    assert_eq!(claims.engagement, Engagement { metadata: None, ..engagement() });
}

#[test]
fn sealing_appends_as_much_as_it_said() {
    let (engagement, link) = (EncodedEngagement::new(&engagement()), EncodedLink::new(&pixel()));
    let mut url = b"https://click.example.com/".to_vec();
    ring().seal_into(&engagement, &link, &mut url).unwrap();
    let path = std::str::from_utf8(&url).unwrap().strip_prefix("https://click.example.com/");
    assert_eq!(path.unwrap().len(), ring().path_len(&engagement, &link));
    assert!(ring().open(path.unwrap()).is_ok());
}

#[test]
fn no_token_is_shorter_than_the_shortest() {
    let path = ring().seal(&smallest_engagement(), &pixel()).unwrap();
    assert_eq!(path.len() - "q/".len(), MIN_TOKEN);
    assert!(ring().open(&path).is_ok());
}

#[test]
fn claims_that_could_not_be_read_are_not_sealed() {
    let mut out = b"before".to_vec();
    let text = "x".repeat(16_385);
    let long = Engagement { metadata: Some(text.clone()), ..engagement() };
    let tags = Engagement { tags: vec![String::new(); 256], ..engagement() };
    for (engagement, link) in [(long, pixel()), (tags, pixel()), (engagement(), click(&text))] {
        let (engagement, link) = (EncodedEngagement::new(&engagement), EncodedLink::new(&link));
        assert_eq!(ring().seal_into(&engagement, &link, &mut out), Err(SealError::TooLong));
        assert_eq!(out, b"before");
    }
}

#[test]
fn the_most_that_is_sealed_opens() {
    let metadata = "ü".repeat(8192);
    let longest = Engagement {
        recipient: String::new(),
        campaign_id: None,
        metadata: Some(metadata),
        tags: vec![String::new(); 255],
        ..engagement()
    };
    let path = ring().seal(&longest, &click(&"\u{1}".repeat(16_384))).unwrap();
    assert_eq!(ring().open(&path).unwrap().engagement, longest);
}

#[test]
fn a_path_of_any_length_is_refused_at_once() {
    assert_eq!(ring().open(&format!("q/{}", "A".repeat(65_537))), Err(OpenError::TooLong));
    assert_eq!(ring().open(&"f/".repeat(100_000)), Err(OpenError::NotTracked));
}

#[test]
fn a_token_below_a_sublink_opens_there_and_nowhere_else() {
    let sublink = Sublink::parse("open-in-app/v2").unwrap();
    let engagement = EncodedEngagement::new(&engagement());
    let sealed = |link: &EncodedLink| {
        let mut path = Vec::new();
        ring().seal_into(&engagement, link, &mut path).unwrap();
        assert_eq!(path.len(), ring().path_len(&engagement, link));
        String::from_utf8(path).unwrap()
    };
    let path = sealed(&EncodedLink::new(&click("https://e.com/")).below(&sublink));
    let token = path.strip_prefix("f/open-in-app/v2/").unwrap();
    assert_eq!(ring().open(&path).unwrap().link, click("https://e.com/"));
    assert!(ring().open(&format!("f/a/{token}")).is_err());
    assert!(sealed(&EncodedLink::new(&pixel()).below(&sublink)).starts_with("q/"));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "https?://(www\\.)?[a-z]{3,9}\\.com/[a-z0-9/?=&%_-]{0,60}",
        "\\{(\"[a-z_]{1,9}\":(\"[a-z]{0,9}\"|[0-9]{1,5}),?){0,5}\\}",
    ]
}

prop_compose! {
    fn any_engagement()(
        message_id in prop_oneof!["[0-9a-f]{20}", any::<String>()],
        numbers in any::<(u64, u32, u32)>(),
        subaccount_id: Option<u32>,
        customer_id: u32,
        recipient in word(),
        recipient_type in prop::sample::select(RecipientType::ALL),
        campaign_id in option::of(word()),
        metadata in option::of(word()),
        tags in prop::collection::vec(word(), 0..4),
        bits: [bool; 5],
    ) -> Engagement {
        let [open_tracking, click_tracking, initial_pixel, amp_enabled, transactional] = bits;
        Engagement {
            message_id, subaccount_id, customer_id, recipient, recipient_type, campaign_id,
            metadata, tags, open_tracking, click_tracking, initial_pixel, amp_enabled,
            transactional, transmission_id: numbers.0, injected_at: numbers.1.into(),
            lifetime_seconds: numbers.2.into(),
        }
    }
}

prop_compose! {
    fn any_link()(
        kind in prop::sample::select(Kind::ALL),
        target in option::of(word()),
        name in option::of(word()),
    ) -> LinkClaims {
        LinkClaims { kind, target, name }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_nothing_near_it_does(
        engagement in any_engagement(), link in any_link(), chance: usize, at: prop::sample::Index,
    ) {
        let claims = Claims { engagement, link };
        laws::check_claims(&claims, chance);
        let mut plaintext = EncodedEngagement::new(&claims.engagement).block().bytes().to_vec();
        plaintext.extend_from_slice(EncodedLink::new(&claims.link).block().bytes());
        let at = at.index(plaintext.len());
        plaintext[at] = chance.to_le_bytes()[0];
        laws::check_plaintext(&plaintext);
    }
}

#[test]
fn salt_changes_the_token_and_not_the_claims() {
    for engagement in [engagement(), smallest_engagement()] {
        let (encoded, link) = (EncodedEngagement::new(&engagement), EncodedLink::new(&pixel()));
        let mut paths = Vec::new();
        for encoded in [encoded.clone(), encoded.with_salt(0), encoded.with_salt(1)] {
            let mut path = Vec::new();
            ring().seal_into(&encoded, &link, &mut path).unwrap();
            let path = String::from_utf8(path).unwrap();
            assert_eq!(ring().open(&path).unwrap().engagement, engagement);
            paths.push(path);
        }
        assert!(paths[0] != paths[1] && paths[1] != paths[2]);
    }
}
