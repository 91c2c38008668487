//! `lol_html` without any handler: the pass that nothing built upon it can beat.
//!
//! Timed by itself and not from Python, so that no call, copy or object is counted. It stays up
//! to be one of several in an interleaved race (`benches/race.py`): the argument is a file; each
//! line on standard input is a number of passes, each line on standard output the nanoseconds
//! that they took.

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use lol_html::errors::RewritingError;
use lol_html::{HtmlRewriter, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    // cargo bench adds a `--bench` of its own.
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let html = std::fs::read(file.ok_or("usage: html FILE")?)?;
    let mut output = Vec::with_capacity(html.len());
    for line in stdin().lock().lines() {
        let passes: u32 = line?.trim().parse()?;
        let started = Instant::now();
        for _ in 0..passes {
            output.clear();
            pass(&html, &mut output)?;
        }
        let took = started.elapsed().as_nanos();
        if output != html {
            return Err("the output is not the input".into());
        }
        writeln!(stdout(), "{took}")?;
        stdout().flush()?;
    }
    Ok(())
}

fn pass(html: &[u8], output: &mut Vec<u8>) -> Result<(), RewritingError> {
    let settings = Settings::new().with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |chunk: &[u8]| output.extend_from_slice(chunk));
    rewriter.write(html)?;
    rewriter.end()
}
