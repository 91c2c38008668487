//! Laws that hold for any claims and any bytes, checked by the property tests and by `fuzzing`.

use super::{Claims, EncodedEngagement, EncodedLink, Engagement, KeyRing, Privacy, RecipientType};

/// A ring of one key, for tests.
pub(crate) fn ring() -> Option<KeyRing> {
    KeyRing::new(&[(3, [7; 32])]).ok()
}

/// A recipient whose opens and clicks are all tracked.
pub(crate) fn engagement() -> Engagement {
    Engagement {
        message_id: "00066d2bb36a0f10a4d3".to_owned(),
        transmission_id: 0,
        injected_at: 1_790_000_000,
        lifetime_seconds: 60,
        customer_id: 1,
        subaccount_id: None,
        recipient: "reader@e.test".to_owned(),
        recipient_type: RecipientType::To,
        campaign_id: None,
        metadata: None,
        tags: Vec::new(),
        open_tracking: true,
        click_tracking: true,
        initial_pixel: true,
        amp_enabled: false,
        transactional: false,
        privacy: Privacy::Full,
    }
}

/// Checks that what is sealed opens to the same claims, and that nothing else opens.
///
/// `chance` says where the path and the claims are damaged.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check_claims(claims: &Claims, chance: usize) {
    let Some(ring) = ring() else { return };
    let engagement = EncodedEngagement::new(&claims.engagement);
    let link = EncodedLink::new(&claims.link);
    let Ok(path) = ring.seal(&claims.engagement, &claims.link) else {
        return assert!(!engagement.is_readable_with(&link), "{claims:?}");
    };
    assert_eq!(ring.open(&path).as_ref(), Ok(claims));

    let mut changed: Vec<char> = path.chars().collect();
    let place = chance % changed.len();
    if let Some(character) = changed.get_mut(place) {
        // Eight-bit bytes reach the tracker as the characters of that number.
        let bit = 1 << (chance / path.len() % 8);
        *character = u8::try_from(*character).map_or('\0', |byte| char::from(byte ^ bit));
    }
    assert!(ring.open(&changed.into_iter().collect::<String>()).is_err(), "{path} {chance}");

    let mut plaintext = write_plaintext(&engagement, &link);
    let cut = plaintext.get(..chance % plaintext.len()).unwrap_or_default();
    assert!(Claims::decode(cut).is_err());
    plaintext.push(chance.to_le_bytes()[0]);
    assert!(Claims::decode(&plaintext).is_err());
}

/// Checks that bytes which are claims are so however they are written.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check_plaintext(plaintext: &[u8]) {
    if let Ok(claims) = Claims::decode(plaintext) {
        let engagement = EncodedEngagement::new(&claims.engagement);
        let link = EncodedLink::new(&claims.link);
        assert_eq!(Claims::decode(&write_plaintext(&engagement, &link)), Ok(claims));
    }
}

/// What is encrypted.
pub(super) fn write_plaintext(engagement: &EncodedEngagement, link: &EncodedLink) -> Vec<u8> {
    [engagement.bytes(link), link.pieces().concat()].concat()
}
