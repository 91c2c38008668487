use super::{Pattern, PatternError};

fn found<'s>(pattern: &str, subject: &'s str) -> Option<Vec<Option<&'s str>>> {
    let groups = Pattern::new(pattern).unwrap().find(subject, 0)?;
    Some(groups.into_iter().map(|group| group.map(|range| &subject[range])).collect())
}

fn whole<'s>(pattern: &str, subject: &'s str) -> Option<&'s str> {
    found(pattern, subject).and_then(|groups| groups[0])
}

fn unsupported(pattern: &str) -> Option<&'static str> {
    match Pattern::new(pattern) {
        Err(PatternError::Unsupported { what, .. }) => Some(what),
        _ => None,
    }
}

#[test]
fn groups_are_found_by_number_and_name() {
    let pattern = Pattern::new(r"^\s*(?P<code>[245]\d{2})(?<rest>x)?").unwrap();
    assert_eq!(pattern.names().collect::<Vec<_>>(), [None, Some("code"), Some("rest")]);
    assert_eq!(pattern.find(" 550 no", 0).unwrap(), [Some(0..4), Some(1..4), None]);
    assert_eq!(found("(?'n'a)b", "xab"), Some(vec![Some("ab"), Some("a")]));
}

#[test]
fn escapes_that_the_crate_reads_otherwise_mean_what_they_mean_in_pcre() {
    for (pattern, subject, expected) in [
        (r"\<a\@b\.c\>", "<a@b.c>", Some("<a@b.c>")), // not the ends of a word
        (r#"\"\ \-\/\_\é"#, "\" -/_é", Some("\" -/_é")),
        (r"a{b}{,3}{", "a{b}{,3}{", Some("a{b}{,3}{")),
        (r"a{2}b{1,}c{0,1}", "aab", Some("aab")),
        (r"[[a&&~~-]+", "[a&~-b", Some("[a&~-")),
        (r"[]a]+", "a]", Some("a]")),
        (r"[^]a]+", "a]b", Some("b")),
        (r"[\w.]+@[\d\-x]+", "jo.x@1-x!", Some("jo.x@1-x")),
        (r"[\W]", "aé", Some("é")),
        (r"[[:digit:][:^alpha:]]+", "a1-", Some("1-")),
        (r"\w+\b", "é", None), // ASCII's, as without UCP
        (r"\Qa.b(\E.", "a.b(c", Some("a.b(c")),
        (r"a\Z", "a\n", Some("a\n")),
        (r"\101\x41\x{41}\cA\e\0", "AAA\x01\x1b\0", Some("AAA\x01\x1b\0")),
        (r"[\b]", "\x08", Some("\x08")),
        (r"\p{Lu}\P{Lu}\x{e9}[\x{e9}\p{Ll}]", "ÉÜéé", None),
        (r"\p{Lu}\P{Lu}\x{e9}[\x{e9}\p{Ll}]", "Éüéa", Some("Éüéa")),
        (r"a(?#note)b", "ab", Some("ab")),
        (r"(?i)ABC", "xabc", Some("abc")),
        (r"a\Rb\h\v", "a\r\nb\t\n", Some("a\r\nb\t\n")),
    ] {
        assert_eq!(whole(pattern, subject), expected, "{pattern}");
    }
}

#[test]
fn what_a_linear_engine_cant_do_is_named() {
    for (pattern, what) in [
        ("a(?=b)", "look-ahead"),
        ("a(?!b)", "look-ahead"),
        ("(?<=a)b", "look-behind"),
        ("(?<!a)b", "look-behind"),
        (r"(a)\1", "a back-reference"),
        (r"(?P<n>a)(?P=n)", "a back-reference"),
        (r"(?<n>a)\k<n>", "a back-reference"),
        ("(?>a+)b", "an atomic group"),
        ("a++b", "a possessive quantifier"),
        ("(?R)", "recursion"),
        ("(?1)", "recursion"),
        ("(a)?(?(1)b|c)", "a condition"),
        ("(*UTF8)a", "a verb such as (*UTF8)"),
    ] {
        assert_eq!(unsupported(pattern), Some(what), "{pattern}");
    }
    let error = Pattern::new("ab(?=c)").unwrap_err();
    assert_eq!(
        error.to_string(),
        "look-ahead at offset 2: this engine takes linear time and can't do that"
    );
}

#[test]
fn what_is_wrong_in_pcre_too_is_a_syntax_error() {
    for pattern in ["(a", "a)", "[a", "*a", r"a\", r"\y", "(?P<n>a", "(?#a", "a{3,1}"] {
        assert!(matches!(Pattern::new(pattern), Err(PatternError::Syntax(_))), "{pattern}");
    }
}

#[test]
fn patterns_are_bounded() {
    for pattern in ["a".repeat(20_000), "(a{1000}){1000}".to_owned()] {
        assert!(matches!(Pattern::new(&pattern), Err(PatternError::TooLarge(_))));
    }
    assert!(Pattern::new(&format!("{}a{}", "(".repeat(500), ")".repeat(500))).is_err());
}

#[test]
fn a_search_goes_on_where_the_last_ended() {
    let pattern = Pattern::new("^a|b").unwrap();
    assert_eq!(pattern.find("aab", 1).unwrap(), [Some(2..3)]); // the start is the subject's
    assert_eq!(pattern.find("éa", 1), None);
    assert_eq!(pattern.find("a", 7), None);
}
