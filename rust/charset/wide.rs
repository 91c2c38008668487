//! UTF-16 and UTF-32: units of two and four bytes.

use super::scheme::{Order, Script};

/// Bytes of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Two,
    Four,
}

impl Unit {
    fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// Where the units of a text stand in its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Units {
    unit: Unit,
    order: Order,
    /// Offsets of characters in text and source, about [`STEP`] bytes of text apart.
    marks: Vec<(usize, usize)>,
    /// The source ends with a unit, and not inside one.
    is_whole: bool,
}

const STEP: usize = 1024;

/// Reads a text; `None` if it is not in that charset.
///
/// A byte order mark decides, then the order that the label names. Without both, the order that
/// makes more ASCII of the units (RFC 2781 §4.3 leaves it to the reader): little endian in UTF-16
/// where both make as many, as in browsers, and big endian in UTF-32. A text without ASCII in the
/// order that counts is not in that charset: it would have a line break at least.
pub(super) fn decode(source: &[u8], unit: Unit, order: Option<Order>) -> Option<(String, Units)> {
    let (order, start) = match (byte_order_mark(source, unit), order) {
        (Some(order), _) => (order, unit.bytes()),
        (None, Some(order)) => (order, 0),
        (None, None) => (guess_order(source, unit), 0),
    };
    let body = source.get(start..)?;
    if start == 0 && count_ascii(body, unit, order) == 0 && !body.is_empty() {
        return None;
    }
    let is_whole = body.len() % unit.bytes() == 0;
    let mut units = Units { unit, order, marks: vec![(0, start)], is_whole };
    let mut text = String::with_capacity(body.len());
    let mut at = start;
    let mut push = |text: &mut String, character: char, bytes: usize| {
        let seen = units.marks.last().map_or(0, |(seen, _)| *seen);
        if text.len() >= seen + STEP {
            units.marks.push((text.len(), at));
        }
        text.push(character);
        at += bytes;
    };
    let code_units = body.chunks_exact(unit.bytes()).map(|bytes| value(bytes, order));
    match unit {
        Unit::Two => {
            let narrow = code_units.map(|unit| u16::try_from(unit).unwrap_or_default());
            for character in char::decode_utf16(narrow) {
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                push(&mut text, character, 2 * character.len_utf16());
            }
        }
        Unit::Four => {
            for code_point in code_units {
                let character = char::from_u32(code_point).unwrap_or(char::REPLACEMENT_CHARACTER);
                push(&mut text, character, 4);
            }
        }
    }
    if !is_whole {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Some((text, units))
}

fn byte_order_mark(source: &[u8], unit: Unit) -> Option<Order> {
    let first = source.get(..unit.bytes())?;
    [Order::Little, Order::Big].into_iter().find(|order| value(first, *order) == 0xFEFF)
}

fn guess_order(source: &[u8], unit: Unit) -> Order {
    let [little, big] = [Order::Little, Order::Big].map(|order| count_ascii(source, unit, order));
    match unit {
        Unit::Two if little >= big => Order::Little,
        Unit::Four if little > big => Order::Little,
        _ => Order::Big,
    }
}

fn count_ascii(source: &[u8], unit: Unit, order: Order) -> usize {
    let units = source.chunks_exact(unit.bytes()).map(|bytes| value(bytes, order));
    units.filter(|unit| (1..128).contains(unit)).count()
}

fn value(unit: &[u8], order: Order) -> u32 {
    let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
    match order {
        Order::Little => unit.iter().rev().fold(0, fold),
        Order::Big => unit.iter().fold(0, fold),
    }
}

impl Units {
    pub(super) fn script(&self) -> Script {
        Script::Wide(self.unit.bytes(), self.order)
    }

    /// Where a character of the text stands in the source; `None` behind half a unit.
    pub(super) fn place(&self, text: &str, at: usize) -> Option<usize> {
        if at == text.len() && !self.is_whole {
            return None;
        }
        let after = self.marks.partition_point(|(marked, _)| *marked <= at);
        let (marked, source) = self.marks.get(after.checked_sub(1)?)?;
        let between = text.get(*marked..at)?;
        let units: usize = match self.unit {
            Unit::Two => between.chars().map(char::len_utf16).sum(),
            Unit::Four => between.chars().count(),
        };
        Some(source + units * self.unit.bytes())
    }
}
