//! PCRE's syntax in that of the `regex` crate.

use std::fmt::Write as _;

use super::PatternError;

/// Writes what PCRE reads otherwise in the crate's syntax.
///
/// `\d`, `\w`, `\s` and `\b` are ASCII's, as in PCRE without its UCP option.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    Translator { pattern, at: 0, written: String::with_capacity(pattern.len() + 16) }.run()
}

struct Translator<'p> {
    pattern: &'p str,
    at: usize,
    written: String,
}

impl<'p> Translator<'p> {
    fn run(mut self) -> Result<String, PatternError> {
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.brace()?,
                '*' | '+' | '?' if self.rest().starts_with('+') => {
                    return Err(self.unsupported("a possessive quantifier", 1));
                }
                other => self.written.push(other),
            }
        }
        Ok(self.written)
    }

    /// After an opening brace: a count, or in PCRE a character.
    fn brace(&mut self) -> Result<(), PatternError> {
        if !is_count(self.rest()) {
            self.written.push_str(r"\{");
            return Ok(());
        }
        let end = self.rest().find('}').map_or(0, |end| end + 1);
        self.written.push('{');
        self.written.push_str(self.rest().get(..end).unwrap_or_default());
        self.at += end;
        if self.rest().starts_with('+') {
            return Err(self.unsupported("a possessive quantifier", 0));
        }
        Ok(())
    }

    fn rest(&self) -> &'p str {
        self.pattern.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    /// Takes a text if it stands next.
    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn unsupported(&self, what: &'static str, since: usize) -> PatternError {
        PatternError::Unsupported { what, offset: self.at.saturating_sub(since) }
    }

    /// After a backslash outside a class.
    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(character) = self.next() else {
            return Err(PatternError::Syntax("\\ at end of pattern".to_owned()));
        };
        match character {
            'b' | 'B' => {
                self.written.push_str("(?-u:\\");
                self.written.push(character);
                self.written.push(')');
            }
            'A' | 'z' => self.push_escaped(character),
            'Z' => self.written.push_str(r"(?:\n?\z)"),
            'R' => self.written.push_str(r"(?:\r\n|[\n\x0b\f\r\x{85}\x{2028}\x{2029}])"),
            'N' if !self.rest().starts_with('{') => self.written.push_str(r"[^\n]"),
            'Q' => {
                let end = self.rest().find("\\E").unwrap_or(self.rest().len());
                let literal = self.rest().get(..end).unwrap_or_default();
                self.written.push_str(&regex::escape(literal));
                self.at += end;
                self.take("\\E");
            }
            'E' => {}
            'k' => return Err(self.unsupported("a back-reference", 2)),
            'g' => {
                let rest = self.rest();
                let is_call = rest.starts_with('<') || rest.starts_with('\'');
                let what = if is_call { "recursion" } else { "a back-reference" };
                return Err(self.unsupported(what, 2));
            }
            // Three octal digits are a character, unless there are as many groups.
            '1'..='9' if !is_octal(character, self.rest()) => {
                return Err(self.unsupported("a back-reference", 2));
            }
            'K' => return Err(self.unsupported("\\K", 2)),
            'G' => return Err(self.unsupported("\\G", 2)),
            'X' | 'C' | 'N' => return Err(self.unsupported("\\X, \\C or \\N{…}", 2)),
            other => self.character_escape(other)?,
        }
        Ok(())
    }

    /// An escape that means the same in a class and outside: a character, or a set of them.
    fn character_escape(&mut self, character: char) -> Result<(), PatternError> {
        match character {
            'd' => self.written.push_str("[0-9]"),
            'D' => self.written.push_str("[^0-9]"),
            'w' => self.written.push_str("[0-9A-Za-z_]"),
            'W' => self.written.push_str("[^0-9A-Za-z_]"),
            's' => self.written.push_str(r"[ \t\n\x0b\f\r]"),
            'S' => self.written.push_str(r"[^ \t\n\x0b\f\r]"),
            'h' => self.written.push_str(r"[ \t\p{Zs}]"),
            'H' => self.written.push_str(r"[^ \t\p{Zs}]"),
            'v' => self.written.push_str(r"[\n\x0b\f\r\x{85}\x{2028}\x{2029}]"),
            'V' => self.written.push_str(r"[^\n\x0b\f\r\x{85}\x{2028}\x{2029}]"),
            'e' => self.written.push_str(r"\x1b"),
            'a' | 'f' | 'n' | 'r' | 't' => self.push_escaped(character),
            'p' | 'P' => {
                self.push_escaped(character);
                self.copy_braces();
            }
            'x' => self.hexadecimal(),
            'c' => match self.next() {
                Some(control) if control.is_ascii() => {
                    let upper = control.to_ascii_uppercase();
                    self.push_code(u32::from(upper) ^ 0x40);
                }
                _ => return Err(PatternError::Syntax("\\c at end of pattern".to_owned())),
            },
            '0'..='7' => {
                let digits =
                    self.rest().bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte));
                let mut code = character.to_digit(8).unwrap_or_default();
                let mut count = 0;
                for digit in digits {
                    code = code * 8 + u32::from(digit - b'0');
                    count += 1;
                }
                self.at += count;
                self.push_code(code);
            }
            other if other.is_ascii_alphanumeric() => {
                return Err(PatternError::Syntax(format!("unrecognised escape \\{other}")));
            }
            other => self.written.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        Ok(())
    }

    /// `\xhh` with up to two digits, or `\x{…}`.
    fn hexadecimal(&mut self) {
        if self.rest().starts_with('{') {
            self.push_escaped('x');
            self.copy_braces();
            return;
        }
        let mut code = 0;
        for _ in 0..2 {
            let Some(digit) = self.rest().chars().next().and_then(|next| next.to_digit(16)) else {
                break;
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        self.push_code(code);
    }

    fn push_escaped(&mut self, character: char) {
        self.written.push('\\');
        self.written.push(character);
    }

    /// Copies what stands in braces next, as the name of a property.
    fn copy_braces(&mut self) {
        if self.rest().starts_with('{') {
            let end = self.rest().find('}').map_or(self.rest().len(), |end| end + 1);
            self.written.push_str(self.rest().get(..end).unwrap_or_default());
            self.at += end;
        }
    }

    fn push_code(&mut self, code: u32) {
        // Writing to a String does not fail.
        let _ = write!(self.written, "\\x{{{code:x}}}");
    }

    /// After an opening bracket. In the crate a class may hold classes and set operations; in PCRE
    /// `[`, `&`, `~` are characters there.
    fn class(&mut self) -> Result<(), PatternError> {
        self.written.push('[');
        if self.take("^") {
            self.written.push('^');
        }
        if self.take("]") {
            self.written.push_str(r"\]");
        }
        while let Some(character) = self.next() {
            match character {
                ']' => {
                    self.written.push(']');
                    return Ok(());
                }
                '[' => match named_class(self.rest()) {
                    Some(name) => {
                        self.written.push('[');
                        self.written.push_str(name);
                        self.at += name.len();
                    }
                    None => self.written.push_str(r"\["),
                },
                '&' | '~' => self.push_escaped(character),
                '-' if self.rest().starts_with('-') => self.written.push_str(r"\-"),
                '\\' => match self.next() {
                    Some('b') => self.written.push_str(r"\x08"),
                    Some('-') => self.written.push_str(r"\-"),
                    Some('E') => {}
                    Some('Q') => return Err(self.unsupported("\\Q in a class", 2)),
                    Some('8' | '9') => {
                        return Err(PatternError::Syntax("\\8 or \\9 in a class".to_owned()));
                    }
                    Some(escaped) => self.character_escape(escaped)?,
                    None => break,
                },
                other => self.written.push(other),
            }
        }
        Err(PatternError::Syntax("missing terminating ] for character class".to_owned()))
    }

    /// After an opening parenthesis.
    fn group(&mut self) -> Result<(), PatternError> {
        if self.rest().starts_with('*') {
            return Err(self.unsupported("a verb such as (*UTF8)", 1));
        }
        if !self.take("?") {
            self.written.push('(');
            return Ok(());
        }
        if self.take("#") {
            let Some(end) = self.rest().find(')') else {
                return Err(PatternError::Syntax("missing ) after comment".to_owned()));
            };
            self.at += end + 1;
            return Ok(());
        }
        let rest = self.rest();
        let what = if rest.starts_with('=') || rest.starts_with('!') {
            "look-ahead"
        } else if rest.starts_with("<=") || rest.starts_with("<!") {
            "look-behind"
        } else if rest.starts_with('>') {
            "an atomic group"
        } else if rest.starts_with('|') {
            "a group that resets numbers"
        } else if rest.starts_with('(') {
            "a condition"
        } else if rest.starts_with("P=") {
            "a back-reference"
        } else if rest.starts_with("P>")
            || rest.starts_with('R')
            || rest.starts_with('&')
            || rest.trim_start_matches(['-', '+']).starts_with(|next: char| next.is_ascii_digit())
        {
            "recursion"
        } else {
            self.written.push_str("(?");
            if self.take("'") {
                self.written.push_str("P<");
                let end = self.rest().find('\'').unwrap_or(self.rest().len());
                self.written.push_str(self.rest().get(..end).unwrap_or_default());
                self.at += end;
                if self.take("'") {
                    self.written.push('>');
                }
            }
            return Ok(());
        };
        Err(self.unsupported(what, 2))
    }
}

/// Whether a digit after a backslash begins three octal ones.
fn is_octal(first: char, rest: &str) -> bool {
    let digits = rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte));
    ('1'..='3').contains(&first) && digits.count() == 2
}

/// Whether a count as `{3}`, `{3,}` or `{3,5}` goes on here; else PCRE's brace is a character.
fn is_count(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && is_number(low) && is_number(high)
}

/// `:alpha:]` of a POSIX class `[:alpha:]`, if one goes on here.
fn named_class(rest: &str) -> Option<&str> {
    let end = rest.find(":]")? + 2;
    let name = rest.get(..end)?;
    let inside = name.strip_prefix(':')?.strip_suffix(":]")?;
    let inside = inside.strip_prefix('^').unwrap_or(inside);
    (!inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(name)
}
