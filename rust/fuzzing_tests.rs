//! Two thousand runs of each target on stable, the same each time.

use super::*;
use std::path::Path;

const RUNS: usize = 2_000;

/// Chance that repeats itself: xorshift64 (Marsaglia, "Xorshift RNGs").
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % limit.max(1)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The seeds cut where something begins, so that they can be put together otherwise.
fn pieces(seeds: &[Vec<u8>]) -> Vec<&[u8]> {
    let split = |byte: &u8| b"<>\n =;.".contains(byte);
    seeds.iter().flat_map(|seed| seed.split_inclusive(split)).collect()
}

fn damage(input: &mut Vec<u8>, pieces: &[&[u8]], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = (at + chance.below(40)).min(input.len());
    match chance.below(5) {
        0 if at < input.len() => input[at] ^= 1 << chance.below(8),
        1 => drop(input.drain(at..end)),
        2 => input.extend_from_within(at..end),
        3 => input.truncate(at),
        _ => drop(input.splice(at..at, chance.one_of(pieces).iter().copied())),
    }
}

fn run(target: &str, check: fn(&[u8])) {
    let seeds = seeds(target);
    let pieces = pieces(&seeds);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for number in 0..RUNS {
        let mut input = if number % 2 == 0 {
            seeds[chance.below(seeds.len())].clone()
        } else {
            let count = chance.below(30);
            (0..count).flat_map(|_| chance.one_of(&pieces)).copied().collect()
        };
        for _ in 0..chance.below(4) {
            damage(&mut input, &pieces, &mut chance);
        }
        check(&input);
    }
}

#[test]
fn html_is_read_as_lol_html_reads_it() {
    run("html", html);
}

#[test]
fn a_stream_gives_what_the_plan_gives() {
    run("stream", stream);
}

#[test]
fn a_copy_is_its_message_but_for_the_edits() {
    run("message", message);
}

#[test]
fn what_is_a_link_in_a_text_is_a_url() {
    run("text", text);
}

#[test]
fn a_text_in_another_charset_changes_where_something_is_put_in() {
    run("charset", charset);
}

#[test]
fn only_what_was_sealed_opens() {
    run("token", token);
}

#[test]
fn data_comes_back_from_the_wire() {
    run("data", data);
}
