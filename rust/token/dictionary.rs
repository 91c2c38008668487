//! The strings that version 1 of the tokens writes as one byte: **part of the format for ever**.
//!
//! Changing, moving or adding an entry makes links in sent mail unreadable; another dictionary is
//! another token version. The choice is frequent strings of URLs, JSON and mail addresses, and
//! the letter pairs and triples that save most between them.

/// In the order of their codes: by first byte, longest first, so that the first match is longest.
pub(super) const ENTRIES: [&str; 160] = [
    "\",\"", "\":\"", "\":", "\"}", "%20", "%2F", "&utm_medium=email&utm_campaign=",
    "&utm_campaign=", "&utm_content=", "&utm_medium=", "&utm_source=", "&utm_term=", ",\"", "-0",
    "-4", "-a", "-b", ".co.uk", ".com/", ".html", ".net/", ".com", ".org", ".php", ".fr", "00",
    "10", "11", "12", "13", "17", "202", "20", "?utm_source=", "?id=", "@hotmail.com",
    "@outlook.com", "@icloud.com", "@gmail.com", "@yahoo.com", "_name\":\"", "_id\":\"", "_id\":",
    "_202", "account", "article", "ame\":\"", "age", "app", "ad", "al", "am", "an", "ar", "as",
    "at", "blog", "ber", "campaign", "category", "customer", "contact", "cta-", "ca", "ce", "ch",
    "ck", "co", "ct", "download", "da", "de", "di", "email", "event", "ee", "el", "en", "er",
    "es", "ge", "gi", "https%3A%2F%2F", "https://www.", "http://www.", "https://", "http://",
    "ho", "index", "id=", "ing", "ic", "il", "in", "ir", "it", "ke", "la", "le", "li", "lo",
    "mail", "ment", "me", "mo", "newsletter", "net", "new", "ng", "no", "online", "order", "out",
    "on", "oo", "or", "preferences", "password", "product", "project", "pe", "pl", "po", "ra",
    "re", "ri", "ro", "subscri", "shop", "s-", "s/", "sa", "se", "sh", "si", "ss", "st",
    "template", "ter", "ta", "te", "th", "to", "tr", "unsubscribe", "uid\":\"", "user", "utm_",
    "um", "un", "up", "ur", "us", "variant", "view", "ve", "vi", "weekly", "web", "{\"",
];
