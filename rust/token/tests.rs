use std::collections::HashSet;
use std::num::NonZero;

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
        privacy: Privacy::Full,
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
    LinkClaims { kind: Kind::Click, target: Some(target.to_owned()), name: None, position: None }
}

fn pixel() -> LinkClaims {
    LinkClaims { kind: Kind::Open, target: None, name: None, position: None }
}

fn ring() -> KeyRing {
    KeyRing::new(&[(3, KEY)]).unwrap()
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
    assert_eq!(KeyRing::new(&[]).unwrap_err(), KeyRingError::Empty);
    let twice = KeyRing::new(&[(3, KEY), (3, [8; 32])]);
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
    ring().sealer(EncodedEngagement::bare(&engagement())).seal_into(&link, &mut path).unwrap();
    let claims = ring().open(std::str::from_utf8(&path).unwrap()).unwrap();
    assert_eq!(claims.engagement, Engagement { metadata: None, ..engagement() });
}

#[test]
fn sealing_appends_as_much_as_it_said() {
    let (ring, link) = (ring(), EncodedLink::new(&pixel()));
    let mut sealer = ring.sealer(EncodedEngagement::new(&engagement()));
    let mut url = b"https://click.example.com/".to_vec();
    sealer.seal_into(&link, &mut url).unwrap();
    let path = std::str::from_utf8(&url).unwrap().strip_prefix("https://click.example.com/");
    assert_eq!(path.unwrap().len(), sealer.path_len(&link));
    assert!(ring.open(path.unwrap()).is_ok());
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
        let ring = ring();
        let mut sealer = ring.sealer(engagement);
        assert_eq!(sealer.seal_into(&link, &mut out), Err(SealError::TooLong));
        assert_eq!(sealer.seal_nth_into(&[link], 0, &mut out), Err(SealError::TooLong));
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
    let link = click(&"\u{1}".repeat(16_384));
    let path = ring().seal(&longest, &link).unwrap();
    assert_eq!(ring().open(&path).unwrap().engagement, longest);
    let (ring, mut nth) = (ring(), Vec::new());
    let mut sealer = ring.sealer(EncodedEngagement::new(&longest));
    sealer.seal_nth_into(&[EncodedLink::new(&link)], 0, &mut nth).unwrap();
    assert_eq!(nth, path.as_bytes());
}

#[test]
fn a_path_of_any_length_is_refused_at_once() {
    assert_eq!(ring().open(&format!("q/{}", "A".repeat(65_537))), Err(OpenError::TooLong));
    assert_eq!(ring().open(&format!("q/{}", "A".repeat(65_536))), Err(OpenError::Version(0)));
    assert_eq!(ring().open(&"f/".repeat(100_000)), Err(OpenError::NotTracked));
}

#[test]
fn what_is_too_short_for_a_token_is_none_whatever_follows() {
    for good in [0, 5, 31, MIN_TOKEN - 1] {
        let path = format!("q/{}!{}", "A".repeat(good), "A".repeat(99));
        assert_eq!(ring().open(&path), Err(OpenError::NotTracked), "{good}");
    }
}

#[test]
fn links_live_as_long_as_they_were_given() {
    let at = |injected_at, lifetime_seconds| Engagement {
        injected_at,
        lifetime_seconds,
        ..engagement()
    };
    assert_eq!(at(1_790_000_000, 60).expires_at(), 1_790_000_060);
    assert_eq!(at(u64::MAX, 60).expires_at(), u64::MAX);
}

#[test]
fn a_token_below_a_sublink_opens_there_and_nowhere_else() {
    let sublink = Sublink::parse("open-in-app/v2").unwrap();
    let sealed = |link: &EncodedLink| {
        let (ring, mut path) = (ring(), Vec::new());
        let mut sealer = ring.sealer(EncodedEngagement::new(&engagement()));
        sealer.seal_into(link, &mut path).unwrap();
        assert_eq!(path.len(), sealer.path_len(link));
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
        privacy in prop::sample::select(Privacy::ALL),
    ) -> Engagement {
        let [open_tracking, click_tracking, initial_pixel, amp_enabled, transactional] = bits;
        Engagement {
            message_id, subaccount_id, customer_id, recipient, recipient_type, campaign_id,
            metadata, tags, open_tracking, click_tracking, initial_pixel, amp_enabled,
            transactional, transmission_id: numbers.0, injected_at: numbers.1.into(),
            lifetime_seconds: numbers.2.into(), privacy,
        }
    }
}

prop_compose! {
    fn any_link()(
        kind in prop::sample::select(Kind::ALL),
        target in option::of(word()),
        name in option::of(word()),
        position in option::of(any_position()),
    ) -> LinkClaims {
        LinkClaims { kind, target, name, position }
    }
}

prop_compose! {
    fn any_position()(
        number: NonZero<u32>, part in prop::sample::select(LinkPart::ALL),
    ) -> Position {
        Position { number, part }
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_nothing_near_it_does(
        engagement in any_engagement(), link in any_link(), chance: usize, at: prop::sample::Index,
    ) {
        let claims = Claims { engagement, link };
        laws::check_claims(&claims, chance);
        let (engagement, link) = (&claims.engagement, &claims.link);
        let (engagement, link) = (EncodedEngagement::new(engagement), EncodedLink::new(link));
        let mut plaintext = laws::write_plaintext(&engagement, &link);
        let at = at.index(plaintext.len());
        plaintext[at] = chance.to_le_bytes()[0];
        laws::check_plaintext(&plaintext);
    }
}

fn number(number: u32, part: LinkPart) -> Option<Position> {
    NonZero::new(number).map(|number| Position { number, part })
}

#[test]
fn the_highest_position_comes_back_beside_salt() {
    let link = LinkClaims { position: number(u32::MAX, LinkPart::Amp), ..click("http://e.com/") };
    let (ring, mut path) = (ring(), Vec::new());
    let mut sealer = ring.sealer(EncodedEngagement::new(&engagement()));
    sealer.seal_into(&EncodedLink::new(&link).with_salt(255), &mut path).unwrap();
    let path = String::from_utf8(path).unwrap();
    assert_eq!(ring.open(&path).unwrap().link, link);
}

#[test]
fn salt_changes_the_token_and_not_the_claims() {
    let ring = ring();
    let numbered = LinkClaims { position: number(7, LinkPart::Html), ..click("https://e.com/") };
    for (engagement, claims) in [(engagement(), numbered), (smallest_engagement(), pixel())] {
        let link = EncodedLink::new(&claims);
        let mut paths = Vec::new();
        for link in [link.clone(), link.with_salt(0), link.with_salt(1)] {
            let mut path = Vec::new();
            let mut sealer = ring.sealer(EncodedEngagement::new(&engagement));
            sealer.seal_into(&link, &mut path).unwrap();
            let path = String::from_utf8(path).unwrap();
            let opened = ring.open(&path).unwrap();
            assert_eq!((opened.engagement, opened.link), (engagement.clone(), claims.clone()));
            paths.push(path);
        }
        assert!(paths[0] != paths[1] && paths[1] != paths[2]);
    }
}

#[test]
fn a_position_comes_back_and_costs_four_bytes_up_to_31_links() {
    let unnumbered = ring().seal(&engagement(), &click("https://e.com/")).unwrap();
    for position in
        [number(1, LinkPart::Html), number(31, LinkPart::Amp), number(u32::MAX, LinkPart::Text)]
    {
        let link = LinkClaims { position, ..click("https://e.com/") };
        let path = ring().seal(&engagement(), &link).unwrap();
        assert_eq!(ring().open(&path).unwrap().link, link);
        if position != number(u32::MAX, LinkPart::Text) {
            assert!(path.len() <= unnumbered.len() + 6, "{path}");
        }
    }
}

#[test]
fn everything_before_a_position_is_the_same_for_all_links_of_a_copy() {
    let engagement = EncodedEngagement::new(&engagement());
    let mut common = HashSet::new();
    for at in 1..500 {
        let link = LinkClaims { position: number(at, LinkPart::Text), ..click("https://e.com/") };
        common.insert(engagement.bytes(&EncodedLink::new(&link)));
    }
    assert_eq!(common.len(), 1);
}

#[test]
fn a_position_of_another_form_is_unknown_and_the_rest_is_read() {
    let engagement = EncodedEngagement::new(&engagement());
    let numbered = LinkClaims { position: number(1, LinkPart::Html), ..click("https://e.com/") };
    let link = EncodedLink::new(&numbered);
    let [extensions, block] = link.pieces();
    assert_eq!(extensions, [1, 2, 1, 4]);
    let read = |extensions: &[u8]| {
        let plaintext = [&engagement.bytes(&link), extensions, block].concat();
        Claims::decode(&plaintext).map(|claims| claims.link)
    };
    assert_eq!(read(extensions), Ok(numbered));
    let unnumbered = click("https://e.com/");
    for other in [
        &[1, 2, 0][..],                           // nothing
        &[1, 2, 1, 0],                            // number 0
        &[1, 2, 1, 7],                            // a part that has no name
        &[1, 2, 2, 4, 4],                         // more than a number
        &[1, 2, 2, 0x84, 0],                      // longer than need be
        &[1, 2, 5, 0x80, 0x80, 0x80, 0x80, 0x40], // 2^32
        &[2, 2, 1, 4, 2, 0],                      // the last one counts
    ] {
        assert_eq!(read(other), Ok(unnumbered.clone()), "{other:?}");
    }
    assert_eq!(read(&[1, 2, 9, 4]), Err(ClaimsError::CutOff));
}

fn seal_each(sealer: &mut Sealer<'_>, links: &[EncodedLink]) -> Vec<Vec<u8>> {
    let mut seal = |link| {
        let mut path = Vec::new();
        sealer.seal_into(link, &mut path).map(|()| path).unwrap_or_default()
    };
    links.iter().map(&mut seal).collect()
}

#[test]
fn links_sealed_together_are_those_sealed_one_by_one() {
    let (ring, too_long) = (ring(), "x".repeat(16_385));
    let sublink = Sublink::parse("app").unwrap();
    let mut links: Vec<_> = (1..100)
        .map(|at| {
            let target =
                format!("https://e.com/{}", "x".repeat(usize::try_from(at).unwrap() * 37));
            let position = number(at, LinkPart::Html).filter(|_| at % 23 != 0);
            let link = EncodedLink::new(&LinkClaims { position, ..click(&target) });
            if at % 31 == 0 { link.below(&sublink) } else { link }
        })
        .collect();
    links[40] = EncodedLink::new(&click(&too_long));
    let mut sealer = ring.sealer(EncodedEngagement::new(&engagement()));
    let singles = seal_each(&mut sealer, &links);
    assert_eq!(singles.iter().position(Vec::is_empty), Some(40));
    let jumps = [5, 3, 3, 98, 0, 40, 41, 39, 40];
    for number in (0..links.len()).chain(jumps).chain((0..links.len()).rev()) {
        let mut path = Vec::new();
        let result = sealer.seal_nth_into(&links, number, &mut path);
        assert_eq!((&path, result.is_err()), (&singles[number], number == 40), "{number}");
        if number % 10 == 0 {
            sealer.seal_into(&EncodedLink::new(&pixel()), &mut path).unwrap();
        }
    }
    assert_eq!(sealer.seal_nth_into(&links, 99, &mut Vec::new()), Err(SealError::TooLong));
}
