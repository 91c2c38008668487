//! TOML with the place of each key and of each fault; around a fault the rest is read.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeFloat, DeInteger, DeTable, DeValue, Error};

/// A file with more faults is not TOML.
const MAX_FAULTS: usize = 100;

const TOO_LARGE: &str = "not a number of at most 64 bits; a text needs quotes";

/// Characters of a wrong value that are shown.
const MAX_SHOWN: usize = 60;

/// What can be read of a text, and everything that is wrong with it.
#[derive(Debug)]
pub struct Document {
    /// The text without what hides the rest of it; its lines are those of the text.
    pub rest: String,
    /// Where in it the keys begin whose values can't be read.
    pub spoiled: Vec<usize>,
    /// In the order of their lines, at most one a line.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// The key that it belongs to, as far as it is known.
    pub key: Vec<String>,
    /// What is wrong, in words.
    pub text: String,
    /// The key or table that was not read because of it; empty if that is unknown.
    pub unread: Option<Vec<String>>,
}

/// Reads a TOML 1.1 text. Unreadable keys are neither present nor missing.
#[must_use]
pub fn judge(text: &str) -> Document {
    let mut lines = Lines::of(text);
    // Lines that hide what follows are replaced one by one; their number stays.
    let mut rest = text.to_owned();
    let mut faults = Vec::new();
    while faults.len() < MAX_FAULTS {
        let (table, errors) = DeTable::parse_recoverable(&rest);
        let mut outline = Outline::default();
        outline.add_table(&rest, table.get_ref(), &[]);
        let mut errors: Vec<_> =
            errors.iter().map(|error| (start_of(error, &rest), error)).collect();
        errors.sort_by_key(|&(start, it)| (start, it.message().starts_with("unclosed")));
        let told: Vec<_> = faults.iter().map(|fault: &Fault| fault.line).collect();
        let hiding = errors
            .iter()
            .find_map(|&(start, it)| outline.find_open(&lines, &rest, start, it.message()))
            .or_else(|| {
                errors.iter().find_map(|&(start, it)| {
                    outline.find_hiding(&lines, &rest, start, it.message(), &told)
                })
            });
        let Some(hiding) = hiding else {
            let errors = errors.iter().map(|&(start, error)| (start, error.message()));
            let flaws = outline.flaws.iter().map(|(start, what)| (*start, what.as_str()));
            let mut wrong: Vec<_> = errors.chain(flaws).collect();
            wrong.sort_by_key(|&(start, _)| start);
            let mut spoiled = Vec::new();
            for (start, message) in wrong {
                if let Some(statement) = outline.statement_at(start) {
                    if spoiled.contains(&statement.span.start) {
                        continue; // it follows from a fault in the same value
                    }
                    spoiled.push(statement.span.start);
                }
                faults.push(outline.judge_error(&lines, &rest, start, message));
            }
            return Document { spoiled, faults: sort(faults), rest };
        };
        faults.push(hiding.fault);
        rest.replace_range(hiding.lines, &hiding.instead);
        lines = Lines::of(&rest);
    }
    Document { rest: String::new(), spoiled: Vec::new(), faults: sort(faults) }
}

fn sort(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.line);
    faults.dedup_by_key(|fault| fault.line);
    faults.truncate(MAX_FAULTS);
    faults
}

/// Where the parser stopped; without a place it was at the end.
fn start_of(error: &Error, text: &str) -> usize {
    error.span().map_or(text.len(), |span| span.start)
}

/// A key with its value, whose lines belong to it whole.
struct Statement {
    path: Vec<String>,
    span: Range<usize>,
}

/// Where statements and tables of a text stand.
#[derive(Default)]
struct Outline {
    statements: Vec<Statement>,
    tables: Vec<(usize, Vec<String>)>,
    flaws: Vec<(usize, String)>,
}

impl Outline {
    fn add_table(&mut self, text: &str, table: &DeTable<'_>, path: &[String]) {
        for (key, value) in table {
            let path = [path, &[key.get_ref().to_string()]].concat();
            let (name, span) = (key.span(), value.span());
            let is_after_key = span.start >= name.end; // else it has a header, or is a dotted key's
            match value.get_ref() {
                DeValue::Table(inner) if !is_after_key => {
                    if span.start < name.start {
                        self.tables.push((span.start, path.clone()));
                    }
                    self.add_table(text, inner, &path);
                }
                DeValue::Array(items) if !is_after_key => {
                    for item in items {
                        self.tables.push((item.span().start, path.clone()));
                        if let DeValue::Table(inner) = item.get_ref() {
                            self.add_table(text, inner, &path);
                        }
                    }
                }
                _ => {
                    self.add_flaws(text, value);
                    let rest = text.get(span.end..).unwrap_or_default();
                    let end = span.end + rest.find('\n').unwrap_or(rest.len());
                    self.statements.push(Statement { path, span: name.start..end });
                }
            }
        }
    }

    /// Notes what is TOML but can't be a setting.
    fn add_flaws(&mut self, text: &str, value: &Spanned<DeValue<'_>>) {
        let written = text.get(value.span()).unwrap_or_default();
        let flaw = match value.get_ref() {
            DeValue::Array(items) => return items.iter().for_each(|it| self.add_flaws(text, it)),
            DeValue::Table(table) => {
                return table.values().for_each(|it| self.add_flaws(text, it));
            }
            DeValue::Datetime(_) => "a date, which no setting is; a text needs quotes",
            DeValue::Integer(number) if to_integer(number).is_none() => TOO_LARGE,
            DeValue::Float(number) if to_float(number).is_none() => TOO_LARGE,
            _ => return,
        };
        let shown: String = written.chars().take(MAX_SHOWN).collect();
        self.flaws.push((value.span().start, format!("found {shown}, {flaw}")));
    }

    fn statement_at(&self, offset: usize) -> Option<&Statement> {
        self.statements.iter().find(|it| it.span.start <= offset && offset <= it.span.end)
    }

    fn table_at(&self, offset: usize) -> Vec<String> {
        let above = self.tables.iter().filter(|(start, _)| *start <= offset);
        above.max_by_key(|(start, _)| *start).map_or_else(Vec::new, |(_, path)| path.clone())
    }

    /// What hides the text below an error, if anything does.
    fn find_hiding(
        &self,
        lines: &Lines,
        text: &str,
        start: usize,
        message: &str,
        told: &[usize],
    ) -> Option<Hiding> {
        let range = lines.range(start, text);
        let written = text.get(range.clone()).unwrap_or_default().trim();
        let has_no_value = message.starts_with("key with no value");
        if !message.starts_with("duplicate")
            && (is_header(written) || (has_no_value && written.ends_with(']')))
        {
            let line = lines.number(start);
            let what = format!("not TOML: {}; a table begins as [name]", reword(message));
            let repaired = repair_header(written).filter(|_| !told.contains(&line));
            let unread = repaired.is_none().then(Vec::new);
            let end = if repaired.is_some() { range.end } else { section_end(text, range.end) };
            let instead = repaired.unwrap_or_default() + &blank(text, range.start..end);
            let fault = Fault { line, key: Vec::new(), text: what, unread };
            return Some(Hiding { fault, lines: range.start..end, instead });
        }
        if has_no_value {
            let column = lines.column(start, text);
            let is_bare = |char: &char| char.is_alphanumeric() || "_-".contains(*char);
            let name: String = written.chars().take_while(is_bare).collect();
            let mut unread = self.table_at(start);
            unread.extend((!name.is_empty()).then_some(name));
            let fault = Fault {
                line: lines.number(start),
                key: Vec::new(),
                text: format!("not TOML: column {column}: {}", reword(message)),
                unread: Some(unread),
            };
            return Some(Hiding { fault, instead: blank(text, range.clone()), lines: range });
        }
        None
    }

    /// A value without its end, which is the rest of the text.
    fn find_open(&self, lines: &Lines, text: &str, start: usize, message: &str) -> Option<Hiding> {
        let open = self.statement_at(start).filter(|it| {
            let value = text.get(it.span.clone()).unwrap_or_default();
            start >= text.trim_end().len() && value.trim_end().contains('\n')
        })?;
        let first = lines.range(open.span.start, text);
        let hidden = first.start..section_end(text, first.end);
        let fault = Fault {
            line: lines.number(open.span.start),
            key: open.path.clone(),
            text: format!("not TOML: the value does not end; {}", reword(message)),
            unread: Some(Vec::new()),
        };
        Some(Hiding { fault, instead: blank(text, hidden.clone()), lines: hidden })
    }

    /// What an error says of the statement or the header that it stands in.
    fn judge_error(&self, lines: &Lines, text: &str, start: usize, message: &str) -> Fault {
        // A comma is missing where the item before ended.
        let is_comma = message.starts_with("missing comma");
        let start = if is_comma {
            text.get(..start).map_or(start, |it| it.trim_end().len())
        } else {
            start
        };
        let line = lines.number(start);
        let place = format!("column {}: ", lines.column(start, text));
        let statement = self.statement_at(start).map(|statement| statement.path.clone());
        let written = text.get(lines.range(start, text)).unwrap_or_default().trim();
        let mut key = statement.clone().unwrap_or_else(|| self.table_at(start));
        let mut what = reword(message).to_owned();
        if message.starts_with("duplicate") {
            if is_header(written) {
                let first = text.lines().position(|other| other.trim() == written);
                let first = first.map_or(line, |at| at + 1);
                what = format!("there already: {written} begins in line {first} too; keep one");
            } else {
                key.extend(written.split('=').next().map(|name| name.trim().to_owned()));
            }
        }
        let is_toml = message.starts_with("found ") || message.starts_with("duplicate");
        let text = if is_toml { what } else { format!("not TOML: {place}{what}") };
        Fault { line, key, text, unread: statement }
    }
}

/// What keeps the parser from the text below it, and what is read instead.
struct Hiding {
    fault: Fault,
    lines: Range<usize>,
    instead: String,
}

fn is_header(line: &str) -> bool {
    let name = line.trim_start_matches('[');
    name.len() < line.len()
        && name.starts_with(|char: char| char.is_alphanumeric() || "\"'_?".contains(char))
}

/// A broken header as it was probably meant: a family of tables, and one name in it.
fn repair_header(line: &str) -> Option<String> {
    let header = line.split('#').next()?.trim().trim_start_matches('[');
    let header = header.strip_suffix(']').unwrap_or(header);
    let is_bare = |char: char| char.is_alphanumeric() || "_-".contains(char);
    let (family, name) =
        header.split_at(header.find(|char| !is_bare(char)).unwrap_or(header.len()));
    let name = name.trim_matches([' ', '.', '"', '\'']);
    match (family, name) {
        ("", _) => None,
        (_, "") => Some(format!("[{family}]")),
        _ if name.contains('"') => None,
        _ => Some(format!("[{family}.\"{name}\"]")),
    }
}

/// The line ends of a range.
fn blank(text: &str, lines: Range<usize>) -> String {
    "\n".repeat(text.get(lines).map_or(0, |hidden| hidden.matches('\n').count()))
}

/// The end of the lines up to the next table's header.
fn section_end(text: &str, from: usize) -> usize {
    let below = text.get(from..).unwrap_or_default().split_inclusive('\n');
    from + below.take_while(|line| !is_header(line)).map(str::len).sum::<usize>()
}

/// A parser's message in the words of our other faults.
fn reword(message: &str) -> &str {
    match message.split(", expected").next().unwrap_or(message) {
        "duplicate key" => "set a second time; keep one",
        "string values must be quoted" => "no value; a text needs quotes",
        "invalid boolean" => "neither true nor false; a text needs quotes",
        "key with no value" => "no value; write it as in key = value",
        "missing comma between array elements" => "a comma or ] is missing",
        "unclosed array" | "unclosed table" | "unclosed array table" => "] is missing",
        "unclosed inline table" => "} is missing",
        "unexpected key or value" => "something after the value; a text needs quotes",
        _ if message.ends_with("expected `\"`") || message.ends_with("expected `'`") => {
            "a quote is missing"
        }
        _ => message,
    }
}

/// A whole number, unless it has more than 64 bits.
#[must_use]
pub fn to_integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Any other number; `None` if it is not one.
#[must_use]
pub fn to_float(number: &DeFloat<'_>) -> Option<f64> {
    number.as_str().parse().ok()
}

/// Where each line of a text begins.
pub struct Lines(Vec<usize>);

impl Lines {
    /// Finds them.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The number of the line around an offset, from 1.
    #[must_use]
    pub fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|&begin| begin <= offset)
    }

    /// A line with its end.
    fn range(&self, offset: usize, text: &str) -> Range<usize> {
        let number = self.number(offset);
        let begin = self.0.get(number.saturating_sub(1)).copied().unwrap_or(0);
        begin..self.0.get(number).copied().unwrap_or(text.len())
    }

    /// From 1, in characters.
    fn column(&self, offset: usize, text: &str) -> usize {
        let begin = self.range(offset, text).start;
        text.get(begin..offset).map_or(1, |before| before.chars().count() + 1)
    }
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
