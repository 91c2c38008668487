//! The vectors that every implementation of the format agrees on: `tests/vectors`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::str::FromStr;

use super::*;

const VECTORS: &str = concat!(
    include_str!("../../tests/vectors/tokens.toml"),
    include_str!("../../tests/vectors/positions.toml"),
    include_str!("../../tests/vectors/privacy.toml"),
);

/// One `[[table]]`; values as they stand in their file.
#[derive(Default)]
struct Table(HashMap<&'static str, &'static str>);

impl Table {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| unquote(value).to_owned())
    }

    fn word<W: FromStr<Err: Debug>>(&self, name: &str) -> Option<W> {
        self.text(name).map(|word| word.parse().unwrap())
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let Some(list) = self.0.get(name) else { return Vec::new() };
        let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap();
        list.split(", ").map(|value| unquote(value).to_owned()).collect()
    }

    fn number<N: FromStr>(&self, name: &str) -> Option<N> {
        self.0.get(name).map(|value| value.parse().ok().unwrap())
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| *value == "true")
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let digits = self.text(name).unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }

    fn claims(&self) -> Claims {
        let engagement = Engagement {
            message_id: self.text("message_id").unwrap(),
            transmission_id: self.number("transmission_id").unwrap_or_default(),
            injected_at: self.number("injected_at").unwrap_or_default(),
            lifetime_seconds: self.number("lifetime").unwrap_or_default(),
            customer_id: self.number("customer_id").unwrap_or_default(),
            subaccount_id: self.number("subaccount_id"),
            recipient: self.text("recipient").unwrap(),
            recipient_type: self.word("recipient_type").unwrap_or(RecipientType::To),
            campaign_id: self.text("campaign_id"),
            metadata: self.text("metadata"),
            tags: self.texts("tags"),
            open_tracking: self.flag("open_tracking"),
            click_tracking: self.flag("click_tracking"),
            initial_pixel: self.flag("initial_pixel"),
            amp_enabled: self.flag("amp_enabled"),
            transactional: self.flag("transactional"),
            privacy: self.word("privacy").unwrap_or(Privacy::Full),
        };
        let link = LinkClaims {
            kind: self.word("kind").unwrap(),
            target: self.text("target"),
            name: self.text("link_name"),
            position: self
                .number("link_number")
                .map(|number| Position { number, part: self.word("link_part").unwrap() }),
        };
        Claims { engagement, link }
    }
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap()
}

/// The tables of one name; the files keep to the few forms of TOML that are read here.
fn tables(name: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut is_wanted = false;
    for line in VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("[[") {
            is_wanted = heading.strip_suffix("]]") == Some(name);
            if is_wanted {
                tables.push(Table::default());
            }
        } else if is_wanted {
            let (key, value) = line.split_once(" = ").unwrap();
            tables.last_mut().unwrap().0.insert(key, value);
        }
    }
    assert!(!tables.is_empty(), "{name}");
    tables
}

/// A ring of all keys that seals with one of them.
fn ring(first: u8) -> KeyRing {
    let key =
        |table: Table| (table.number("id").unwrap(), table.bytes("secret").try_into().unwrap());
    let mut keys: Vec<(u8, [u8; 32])> = tables("key").into_iter().map(key).collect();
    keys.sort_by_key(|&(id, _)| id != first);
    assert_eq!(keys[0].0, first);
    KeyRing::new(&keys).unwrap()
}

#[test]
fn the_paths_of_the_vectors_open() {
    for table in tables("token").iter().chain(&tables("opens")) {
        let path = table.text("path").unwrap();
        assert_eq!(ring(1).open(&path), Ok(table.claims()), "{:?}", table.0["what"]);
    }
}

#[test]
fn the_claims_of_the_vectors_seal_to_their_paths() {
    for table in tables("token") {
        let Claims { engagement, link } = table.claims();
        let path = ring(table.number("key").unwrap()).seal(&engagement, &link);
        assert_eq!(path.ok(), table.text("path"), "{:?}", table.0["what"]);
    }
}

#[test]
fn the_bytes_of_the_vectors_are_their_claims() {
    for table in tables("token") {
        let Claims { engagement, link } = table.claims();
        let (engagement, link) = (EncodedEngagement::new(&engagement), EncodedLink::new(&link));
        assert_eq!(
            laws::write_plaintext(&engagement, &link),
            table.bytes("claims"),
            "{:?}",
            table.0["what"]
        );
    }
    for table in tables("opens") {
        let claims = Claims::decode(&table.bytes("claims"));
        assert_eq!(claims, Ok(table.claims()), "{:?}", table.0["what"]);
    }
}

#[test]
fn what_the_vectors_refuse_is_refused_for_their_reason() {
    for table in tables("refused") {
        let error = ring(1).open(&table.text("path").unwrap()).unwrap_err();
        let cause = error.source().map(ToString::to_string);
        assert_eq!(Some(error.to_string()), table.text("error"), "{:?}", table.0["what"]);
        assert_eq!(cause, table.text("cause"), "{:?}", table.0["what"]);
    }
}
