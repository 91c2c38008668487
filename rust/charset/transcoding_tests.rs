use super::*;
use crate::charset::laws;
use crate::charset::scheme::Order;
use proptest::prelude::*;

fn read(source: &[u8], scheme: Scheme) -> Transcoded {
    Transcoded::read(source, scheme).unwrap()
}

fn utf16(text: &str, order: Order) -> Vec<u8> {
    let bytes = |unit: u16| match order {
        Order::Little => unit.to_le_bytes(),
        Order::Big => unit.to_be_bytes(),
    };
    text.encode_utf16().flat_map(bytes).collect()
}

fn utf32(text: &str, order: Order) -> Vec<u8> {
    let bytes = |c: char| match order {
        Order::Little => u32::from(c).to_le_bytes(),
        Order::Big => u32::from(c).to_be_bytes(),
    };
    text.chars().flat_map(bytes).collect()
}

/// The source with a word of ours in the place of a piece of the text, read again.
fn replaced(source: &[u8], scheme: Scheme, piece: &str) -> Option<String> {
    let read_text = read(source, scheme);
    let start = read_text.text.find(piece).unwrap();
    let (from, to) = read_text.range(start, start + piece.len())?;
    let mut edited = source[..from].to_vec();
    edited.extend_from_slice(b"~+URL");
    read_text.script.rewrite(&mut edited, from);
    edited.extend_from_slice(&source[to..]);
    Some(read(&edited, scheme).text)
}

#[test]
fn a_mark_decides_then_the_label_then_what_makes_markup() {
    let text = "<p>\u{e9}\u{1f600}\n";
    for order in [Order::Little, Order::Big] {
        let marked = format!("\u{feff}{text}");
        for declared in [None, Some(Order::Little), Some(Order::Big)] {
            assert_eq!(read(&utf16(&marked, order), Scheme::Utf16(declared)).text, text);
            assert_eq!(read(&utf32(&marked, order), Scheme::Utf32(declared)).text, text);
        }
        for declared in [None, Some(order)] {
            assert_eq!(read(&utf16(text, order), Scheme::Utf16(declared)).text, text);
            assert_eq!(read(&utf32(text, order), Scheme::Utf32(declared)).text, text);
        }
    }
}

#[test]
fn what_has_no_ascii_in_its_units_is_not_in_that_charset() {
    for scheme in [Scheme::Utf16(None), Scheme::Utf16(Some(Order::Big)), Scheme::Utf32(None)] {
        let html = b"<a href='http://e.com/'>x</a>";
        assert_eq!(Transcoded::read(html, scheme), Err(Reason::UnsupportedCharset));
        assert_eq!(read(b"", scheme).text, "");
    }
}

#[test]
fn halves_of_units_and_of_surrogate_pairs_are_replaced() {
    let mut source = utf16("a\u{1f600}b", Order::Little);
    source.drain(2..4);
    source.push(b'x');
    let text = read(&source, Scheme::Utf16(None));
    assert_eq!(text.text, "a\u{fffd}b\u{fffd}");
    assert_eq!(text.range(4, 5), Some((4, 6)));
    // Behind half a unit, whole ones would be read otherwise.
    assert_eq!(text.insertion(text.text.len()), None);
    let text = read(&[b'a', 0, 0, 0, 0, 0xD8, 0, 0, b'b', 0, 0, 0], Scheme::Utf32(None));
    assert_eq!((text.text.as_str(), text.insertion(5)), ("a\u{fffd}b", Some(12)));
}

#[test]
fn units_are_found_far_into_a_text() {
    let text = "a\u{e9}\u{20ac}\u{1f600}".repeat(2_000);
    for order in [Order::Little, Order::Big] {
        let wide = read(&utf16(&text, order), Scheme::Utf16(None));
        let wider = read(&utf32(&text, order), Scheme::Utf32(None));
        for (at, _) in text.char_indices().step_by(7) {
            assert_eq!(wide.insertion(at), Some(2 * text[..at].encode_utf16().count()));
            assert_eq!(wider.insertion(at), Some(4 * text[..at].chars().count()));
        }
    }
}

#[test]
fn each_charset_with_shifts_is_read_by_its_rules() {
    for (scheme, source, text) in [
        (Scheme::Iso2022Jp, b"a\x1b$BF|K\\\x1b(Bb".as_slice(), "a日本b"),
        (Scheme::Iso2022Jp, b"\x1b(J\\~\x1b(I1\x1b(B<", "\u{a5}\u{203e}\u{ff71}<"),
        (Scheme::Iso2022Jp, b"\x1b$(D0!\x1b(B", "丂"),
        (Scheme::Iso2022Jp, b"\x1b$AVP\x1b$(C0!\x1b(B\x1b.A\x1bNi", "中가é"),
        (Scheme::Iso2022Jp, b"\x1b.F\x1bNac", "αc"),
        // As the Encoding Standard has it: no line break ends the shift, `<` is no markup.
        (Scheme::Iso2022Jp, b"\x1b$BF|\n<\x1b(B<", "日\u{fffd}\u{fffd}<"),
        (Scheme::Iso2022Jp, b"\x1bxa\x0e\x0fb\xff", "\u{fffd}xa\u{fffd}\u{fffd}b\u{fffd}"),
        (Scheme::Iso2022Kr, b"\x1b$)C\x0e0!\x0f<", "가<"),
        (Scheme::Iso2022Kr, b"\x0e0!\n<", "가\n<"),
        (Scheme::Iso2022Kr, b"\x0e0! 0!\x0f", "가 가"),
        (Scheme::Iso2022Cn, b"\x1b$)A\x0eVP\x0f<\x1b$)G\x0e!!\x0f", "中<\u{fffd}"),
        (Scheme::Iso2022Cn, b"\x1b$*H\x1bN!!<", "\u{fffd}<"),
        (Scheme::Hz, b"a~{VP~}b~~~\nc", "a中b~c"),
        (Scheme::Hz, b"~{VP\n<~{!", "中\n<\u{fffd}"),
        (Scheme::Hz, b"~x\xff", "\u{fffd}x\u{fffd}"),
        (Scheme::Utf7, b"a+AOk-b+-c+AOk<", "aéb+cé<"),
        (Scheme::Utf7, b"+2D3eAA-+ADw-", "\u{1f600}<"),
        (Scheme::Utf7, b"+ -+2D0-\xff", "\u{fffd} -\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(read(source, scheme).text, text, "{}", source.escape_ascii());
    }
}

#[test]
fn a_url_is_replaced_outside_of_shifts_only() {
    for (scheme, source, piece, text) in [
        (
            Scheme::Iso2022Jp,
            b"\x1b$BF|\x1b(Bhttp\x1b$BF|\x1b(B".as_slice(),
            "http",
            Some("日~+URL日"),
        ),
        (Scheme::Iso2022Jp, b"'http/\x1b$BF|\x1b(B'", "http/日", Some("'~+URL'")),
        (Scheme::Iso2022Jp, b"http\x1b$BF|K\\\x1b(B'", "http日", None),
        (Scheme::Iso2022Jp, b"\x1b(J'http'\x1b(B", "http", Some("'~+URL'")),
        (Scheme::Iso2022Kr, b"\x0e0!\x0fhttp\x0e0!\x0f", "http", Some("가~+URL가")),
        (Scheme::Hz, b"~{VP~}http~{VP~}", "http", Some("中~+URL中")),
        (Scheme::Hz, b"http~~x", "http~", Some("~+URLx")),
        (Scheme::Utf7, b"+ACI-http+ACI-", "http", Some("\"~+URL\"")),
        (Scheme::Utf7, b"+ACI- http+-x", "http+", Some("\" ~+URLx")),
        // The word would be read as more base64.
        (Scheme::Utf7, b"+ACI http", " http", None),
        (Scheme::Utf7, b"+AGgAdA-", "ht", None),
    ] {
        let edited = replaced(source, scheme, piece);
        let text = text.map(|text| match scheme {
            Scheme::Iso2022Jp if source.starts_with(b"\x1b(J") => text.replace('~', "\u{203e}"),
            _ => text.to_owned(),
        });
        assert_eq!(edited, text, "{}", source.escape_ascii());
    }
}

#[test]
fn the_end_of_a_text_is_a_place_where_it_is_ascii() {
    for (scheme, source, end) in [
        (Scheme::Iso2022Jp, b"\x1b$BF|".as_slice(), None),
        (Scheme::Iso2022Jp, b"\x1b$BF|\x1b(B", Some(8)),
        (Scheme::Iso2022Kr, b"\x0e0!", None),
        (Scheme::Hz, b"~{VP", None),
        (Scheme::Hz, b"~{VP~}", Some(6)),
        (Scheme::Utf7, b"x+AOk", None),
        (Scheme::Utf7, b"x+AOk-", Some(6)),
    ] {
        let text = read(source, scheme);
        assert_eq!(text.insertion(text.text.len()), end, "{}", source.escape_ascii());
    }
}

/// Bytes that begin and end shifts, and what may stand between.
fn any_source() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        b"\x1b$B".as_slice(),
        b"\x1b(B",
        b"\x1b(J",
        b"\x1b$)C",
        b"\x1b$)A",
        b"\x1b.A",
        b"\x1bN",
        b"\x0e",
        b"\x0f",
        b"~{",
        b"~}",
        b"~~",
        b"~\n",
        b"+",
        b"-",
        b"AOk",
        b"F|",
        b"\n",
        b"\r\n",
        b"<a href='",
        b"http://e.com/",
        b"'>",
        b" ",
        b"\0",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xd8\x00",
        b"<\0",
        b"\0<",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_put_in_is_all_that_changes(
        source in any_source(), scheme in prop::sample::select(laws::SCHEMES.to_vec()),
    ) {
        laws::check(&source, scheme);
    }
}
