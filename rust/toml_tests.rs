use proptest::prelude::*;

use super::{Document, Fault, judge};
use ::toml::de::DeTable;

/// Lines and texts of faults, and the names at the top that are left.
fn judge_text(text: &str) -> (Vec<(usize, String)>, Vec<String>) {
    let Document { rest, spoiled, faults } = judge(text);
    let faults = faults.into_iter().map(|fault| (fault.line, fault.text)).collect();
    let (table, _) = DeTable::parse_recoverable(&rest);
    let keys = table.get_ref().keys().filter(|key| !spoiled.contains(&key.span().start));
    (faults, keys.map(|key| key.get_ref().to_string()).collect())
}

#[test]
fn around_each_kind_of_fault_the_rest_is_read() {
    for (broken, what) in [
        ("b = words", "column 5: no value; a text needs quotes"),
        ("b = True", "neither true nor false"),
        ("b = 'x", "column 7: a quote is missing"),
        ("b 1", "column 3: no value; write it as in key = value"),
        ("b = 'x' 1", "something after the value"),
        ("b = [1\n 2]", "column 7: a comma or ] is missing"),
        ("b = [\n 1,", "the value does not end; ] is missing"),
        ("b = {c = 1,\n", "the value does not end; } is missing"),
        ("b = '''\n\n", "the value does not end; a quote is missing"),
        ("[b", "] is missing; a table begins as [name]"),
        ("b]", "a table begins as [name]"),
        ("[b.c:1]", "a table begins as [name]"),
        ("[b.\"c\".d:1]", "a table begins as [name]"),
        ("[?]", "a table begins as [name]"),
        ("[a]", "there already: [a] begins in line 1 too; keep one"),
        ("a.x = 1\na.x = 2\n", "set a second time; keep one"),
        ("b = 1999-12-31", "found 1999-12-31, a date, which no setting is"),
        ("b = [{c = 9223372036854775808}]", "found 9223372036854775808, not a number"),
    ] {
        let (faults, names) = judge_text(&format!("[a]\n{broken}\n[z]\ny = 1\n"));
        assert!(matches!(&faults[..], [(_, text)] if text.contains(what)), "{broken}: {faults:?}");
        assert!(names.starts_with(&["a".to_owned()]) && names.ends_with(&["z".to_owned()]));
    }
}

#[test]
fn what_was_not_read_is_known_as_far_as_it_can_be() {
    let unread = |text| judge(text).faults.into_iter().map(|it| it.unread).collect::<Vec<_>>();
    let path = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(
        unread("[a]\nb = x\nc\n? = 1"),
        [path(&["a", "b"]), path(&["a", "c"]), path(&["a", "?"])]
    );
    assert_eq!(unread("[a\n[?]\n[b]\nc = [\n1"), [None, path(&[]), path(&[])]);
}

#[test]
fn what_is_something_else_than_toml_gives_a_bounded_answer() {
    let (faults, names) = judge_text(&"x ?\n".repeat(1_000));
    assert_eq!((faults.len(), names), (100, Vec::new()));
    assert_eq!(judge_text(&format!("a = {}\nb = 1", "[".repeat(50_000))).0.len(), 2);
}

proptest! {
    #[test]
    fn any_text_is_read_and_all_that_is_said_of_it_has_a_line(
        text in "[ab.=\\[\\]{}\"'\\\\#\n ,1?]{0,80}",
    ) {
        let last = text.matches('\n').count() + 1;
        let Document { rest, faults, .. } = judge(&text);
        prop_assert!(rest.is_empty() || rest.matches('\n').count() + 1 == last);
        let is_here = |fault: &Fault| (1..=last).contains(&fault.line);
        prop_assert!(faults.iter().all(is_here));
        let parsed = DeTable::parse(&text);
        prop_assert_eq!(faults.is_empty(), parsed.is_ok());
    }
}
