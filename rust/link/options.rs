//! What a sender asks for one link: by `data-msys-*`, or by an attribute of another product.

use super::sublink::Sublink;

/// A longer name is cut, as Momentum does.
const MAX_NAME_BYTES: usize = 63;

/// Other products' attributes that, whatever their values, ask for a link not to be tracked.
const FOREIGN_OPT_OUTS: [&[u8]; 3] = [b"data-pm-no-track", b"ses:no-track", b"data-no-track"];

/// What a link's attributes ask for; of duplicates the first counts, as in HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    click_tracking: Option<String>,
    name: Option<String>,
    unsubscribe: Option<String>,
    sublink: Option<String>,
    foreign_opt_out: bool,
    /// `clicktracking`, which another product has.
    foreign_click_tracking: Option<String>,
}

impl Options {
    /// The attribute that goes by `name` (compared without case), if it is one of ours.
    pub fn attribute(&mut self, name: &[u8]) -> Option<&mut Option<String>> {
        let (prefix, own) = name.split_at_checked(b"data-msys-".len())?;
        if !prefix.eq_ignore_ascii_case(b"data-msys-") {
            return None;
        }
        match own.to_ascii_lowercase().as_slice() {
            b"clicktrack" => Some(&mut self.click_tracking),
            b"linkname" => Some(&mut self.name),
            b"unsubscribe" => Some(&mut self.unsubscribe),
            b"sublink" => Some(&mut self.sublink),
            _ => None,
        }
    }

    /// Notes an attribute if it is an opt-out of another product.
    pub fn note_foreign(&mut self, name: &[u8], value: impl FnOnce() -> String) {
        if name.eq_ignore_ascii_case(b"clicktracking") {
            self.foreign_click_tracking.get_or_insert_with(value);
        } else if FOREIGN_OPT_OUTS.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            self.foreign_opt_out = true;
        }
    }

    /// Whether another product would not wrap the link.
    #[must_use]
    pub fn foreign_opted_out(&self) -> bool {
        self.foreign_opt_out || is_one_of(self.foreign_click_tracking.as_deref(), &["off"])
    }

    /// `data-msys-clicktrack="0"`: the link is not wrapped.
    #[must_use]
    pub fn opted_out(&self) -> bool {
        is_one_of(self.click_tracking.as_deref(), &["0", "false", "off"])
    }

    /// `data-msys-unsubscribe="1"`: following the link unsubscribes.
    #[must_use]
    pub fn unsubscribes(&self) -> bool {
        is_one_of(self.unsubscribe.as_deref(), &["1", "true", "on"])
    }

    /// `data-msys-sublink`, if it can stand in a path.
    #[must_use]
    pub fn sublink(&self) -> Option<Sublink> {
        Sublink::parse(self.sublink.as_deref()?.trim_ascii())
    }

    /// `data-msys-linkname`, cut to 63 bytes at a character.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        cut_name(self.name.as_deref()?)
    }
}

/// A link's name, cut to 63 bytes at a character; `None` for an empty one.
#[must_use]
pub fn cut_name(name: &str) -> Option<String> {
    let end = (0..=MAX_NAME_BYTES.min(name.len())).rfind(|end| name.is_char_boundary(*end));
    name.get(..end?).filter(|name| !name.is_empty()).map(str::to_owned)
}

fn is_one_of(value: Option<&str>, words: &[&str]) -> bool {
    value.is_some_and(|value| {
        words.iter().any(|word| value.trim_ascii().eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(attributes: &[(&str, &str)]) -> Options {
        let mut options = Options::default();
        for (name, value) in attributes {
            if let Some(slot) = options.attribute(name.as_bytes()) {
                slot.get_or_insert_with(|| (*value).to_owned());
            }
        }
        options
    }

    #[test]
    fn each_attribute_has_its_meaning() {
        let asked = options(&[
            ("DATA-MSYS-LinkName", "top"),
            ("data-msys-unsubscribe", "1"),
            ("data-msys-sublink", "open-in-app"),
            ("data-msys-clicktrack", "1"),
            ("data-msys-other", "1"),
            ("data-msys-linkname", "second"),
        ]);
        assert_eq!(asked.name().as_deref(), Some("top"));
        assert_eq!(asked.sublink(), Sublink::parse("open-in-app"));
        assert!(asked.unsubscribes() && !asked.opted_out());
    }

    #[test]
    fn values_that_mean_nothing_change_nothing() {
        let asked = options(&[
            ("data-msys-clicktrack", "no"),
            ("data-msys-unsubscribe", "0"),
            ("data-msys-sublink", "../x"),
            ("data-msys-linkname", ""),
        ]);
        assert_eq!(
            (asked.opted_out(), asked.unsubscribes(), asked.sublink(), asked.name()),
            (false, false, None, None)
        );
        assert!(options(&[("data-msys-clicktrack", " OFF ")]).opted_out());
    }

    #[test]
    fn other_products_opt_out_by_presence_or_by_value() {
        let opts_out = |attributes: &[(&str, &str)]| {
            let mut options = Options::default();
            for (name, value) in attributes {
                options.note_foreign(name.as_bytes(), || (*value).to_owned());
            }
            options.foreign_opted_out()
        };
        for (name, value) in [
            ("data-pm-no-track", ""),
            ("SES:no-track", "false"),
            ("data-no-track", "0"),
            ("ClickTracking", " OFF "),
        ] {
            assert!(opts_out(&[(name, value)]), "{name}");
        }
        for (name, value) in [
            ("clicktracking", ""),
            ("clicktracking", "on"),
            ("data-clicktracking", "off"),
            ("no-track", ""),
        ] {
            assert!(!opts_out(&[(name, value)]), "{name}");
        }
        assert!(!opts_out(&[("clicktracking", "on"), ("clicktracking", "off")]));
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let name = options(&[("data-msys-linkname", &format!("a{}", "é".repeat(40)))]).name();
        assert_eq!(name.unwrap(), format!("a{}", "é".repeat(31)));
    }
}
