//! One plain GET at the beginning of a read.
//!
//! A grammar that is narrower than HTTP's: each request that it takes, a whole parser takes too,
//! with the same target and the same fields.

use memchr::{memchr, memchr2};

/// What a client may send; the tracker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request target.
    pub max_target_bytes: usize,
    /// Bytes of all header fields of a request, names and values.
    pub max_header_bytes: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Requests of one read; with the last one the connection would end.
    pub max_requests: usize,
}

/// A GET of a path that may be tracked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainGet<'r> {
    /// Without the query.
    pub(super) path: &'r str,
    pub(super) host: &'r str,
    pub(super) agent: Option<&'r str>,
    pub(super) language: Option<&'r str>,
    pub(super) forwarded_for: Option<&'r str>,
    /// The client wants no second answer on this connection.
    pub(super) closes: bool,
}

/// Characters of a header's value that an event keeps.
const MAX_KEPT: usize = 1_024;

impl<'r> PlainGet<'r> {
    /// Reads a request, and returns what follows it; `None` for one that is not plain, or not whole.
    pub(super) fn read(read: &'r [u8], limits: &Limits) -> Option<(Self, &'r [u8])> {
        let line = read.strip_prefix(b"GET ")?;
        let (target, rest) = line.split_at_checked(memchr(b' ', line)?)?;
        let mut rest = rest.strip_prefix(b" HTTP/1.1\r\n")?;
        if target.len() > limits.max_target_bytes {
            return None;
        }
        let path = path_of(target)?;
        let mut fields = Fields::default();
        let (mut count, mut bytes) = (0, 0);
        loop {
            if let Some(behind) = rest.strip_prefix(b"\r\n") {
                let within = count <= limits.max_headers && bytes <= limits.max_header_bytes;
                let get = fields.into_get(path)?;
                return within.then_some((get, behind));
            }
            let (name, value, behind) = read_field(rest)?;
            fields.note(name, value)?;
            count += 1;
            bytes += name.len() + value.len();
            rest = behind;
        }
    }
}

/// `Name: value` up to the line's end, with nothing that readers of HTTP differ on.
fn read_field(rest: &[u8]) -> Option<(&[u8], &str, &[u8])> {
    let (name, rest) = rest.split_at_checked(memchr2(b':', b'\r', rest)?)?;
    let rest = rest.strip_prefix(b": ")?;
    let (value, rest) = rest.split_at_checked(memchr2(b'\r', b'\n', rest)?)?;
    let rest = rest.strip_prefix(b"\r\n")?;
    let is_good = !name.is_empty()
        && all(name, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && all(value, |byte| matches!(byte, b' '..=b'~'))
        && !value.starts_with(b" ")
        && !value.ends_with(b" ")
        && !value.is_empty();
    // Printable ASCII is UTF-8.
    if is_good { Some((name, std::str::from_utf8(value).ok()?, rest)) } else { None }
}

/// The path of a target that may be tracked, if nothing but a harmless query is behind its token.
fn path_of(target: &[u8]) -> Option<&str> {
    let (path, query) = match memchr(b'?', target) {
        Some(end) => target.split_at_checked(end)?,
        None => (target, &[][..]),
    };
    let is_query = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'~' | b'=' | b'&' | b'+' | b'-')
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_path = |byte| is_token(byte) || matches!(byte, b'/' | b'.');
    let last_segment = match path {
        [b'/', b'q', b'/', token @ ..] => token,
        [b'/', b'f', b'/', rest @ ..] => rest.rsplit(|byte| *byte == b'/').next()?,
        _ => return None,
    };
    // A way up is an attack behind the token, and a fact that Python notes.
    let climbs = memchr(b'.', path).is_some() && path.windows(2).any(|pair| pair == b"..");
    let is_plain = !climbs
        && all(path, is_path)
        && all(last_segment, is_token)
        && all(query.get(1..).unwrap_or_default(), is_query);
    if is_plain { std::str::from_utf8(path).ok() } else { None }
}

/// As `Iterator::all`, but without an end before the last byte: so it runs on many at a time.
fn all(bytes: &[u8], is_good: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |are_good, byte| are_good & is_good(*byte))
}

#[derive(Default)]
struct Fields<'r> {
    host: Option<&'r str>,
    agent: Option<&'r str>,
    language: Option<&'r str>,
    forwarded_for: Option<&'r str>,
    connection: Option<Connection>,
}

enum Connection {
    Stays,
    Closes,
}

impl<'r> Fields<'r> {
    /// Keeps a field that counts; `None` where the request is not plain by it.
    fn note(&mut self, name: &[u8], value: &'r str) -> Option<()> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // By length first: most fields of a browser's are none of these.
        match name.len() {
            4 if is(b"host") => {
                return self.host.replace(host_of(value)?).is_none().then_some(());
            }
            10 if is(b"user-agent") => set_first(&mut self.agent, value),
            15 if is(b"accept-language") => set_first(&mut self.language, value),
            15 if is(b"x-forwarded-for") => {
                return self.forwarded_for.replace(value).is_none().then_some(());
            }
            10 if is(b"connection") => {
                let connection = if value.eq_ignore_ascii_case("keep-alive") {
                    Connection::Stays
                } else if value.eq_ignore_ascii_case("close") {
                    Connection::Closes
                } else {
                    return None;
                };
                return self.connection.replace(connection).is_none().then_some(());
            }
            5 if is(b"x-moz") => return None,
            6 if is(b"expect") => return None,
            7 if is(b"purpose") || is(b"upgrade") || is(b"trailer") => return None,
            9 if is(b"x-purpose") => return None,
            11 if is(b"sec-purpose") => return None,
            14 if is(b"content-length") => return None,
            16 if is(b"proxy-connection") => return None,
            17 if is(b"transfer-encoding") => return None,
            _ => {}
        }
        Some(())
    }

    fn into_get(self, path: &'r str) -> Option<PlainGet<'r>> {
        Some(PlainGet {
            path,
            host: self.host?,
            agent: self.agent.map(cut),
            language: self.language.map(cut),
            forwarded_for: self.forwarded_for,
            closes: matches!(self.connection, Some(Connection::Closes)),
        })
    }
}

fn set_first<'r>(field: &mut Option<&'r str>, value: &'r str) {
    field.get_or_insert(value);
}

/// The host of a `Host` field, without its port and final dot.
fn host_of(value: &str) -> Option<&str> {
    let (name, port) = value.split_once(':').unwrap_or((value, "0"));
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_plain = name.bytes().all(is_in_name)
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some(name.strip_suffix('.').unwrap_or(name))
}

/// The value is ASCII: a character is a byte.
fn cut(value: &str) -> &str {
    value.get(..MAX_KEPT).unwrap_or(value)
}
