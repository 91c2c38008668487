//! Why something was left as it was: one list, from which logs, counters, Python and the
//! documentation (`docs/reasons.md`) have their words.

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $code:literal),+ $(,)?) => {
        /// Why a link, a part or a message was left as it was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[doc = $meaning])+ $variant),+ }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its place in `ALL`.
            const fn index(self) -> u32 {
                let mut index = 0;
                $(
                    if matches!(self, Self::$variant) {
                        return index;
                    }
                    index += 1;
                )+
                index
            }

            /// The code that logs, counters and documents use.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What it means: the comment of the table below, as Markdown.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+).trim_ascii()),+ }
            }
        }
    };
}

reasons! {
    /// the target does not start with `http://` or `https://`
    NotHttp = "not_http",
    /// nothing follows `http://`
    NoHost = "no_host",
    /// `data-msys-clicktrack="0"`, or another product's opt-out where `foreign_opt_outs` is on; in
    /// text/plain also where the HTML says so of the same target
    OptedOut = "opted_out",
    /// its target fits a pattern of `never_wrap`
    NeverWrap = "never_wrap",
    /// its visible text is itself a URL, and `spare_url_text` is on
    UrlText = "url_text",
    /// the target is `https`, the tracked URL would be `http`, and `allow_downgrade` is off
    SchemeDowngrade = "scheme_downgrade",
    /// the program's own hook `on_link` keeps it
    Vetoed = "vetoed",
    /// it is in an AMP part and holds `{{`, which AMP fills in at the reader's
    AmpTemplate = "amp_template",
    /// it is VML or in a conditional comment, and `outlook_links` is off
    OutlookLinksOff = "outlook_links_off",
    /// it is in text/plain, and `click_tracking_text` is off
    TextLinksOff = "text_links_off",
    /// it goes on in the next line: in angle brackets, or in a text in `format=flowed; delsp=yes`
    SplitLink = "split_link",
    /// it leads to the tracking domain already
    AlreadyTracked = "already_tracked",
    /// the tracked URL would pass 4,096 bytes, even without metadata
    UrlTooLong = "url_too_long",
    /// the 7bit or 8bit line would pass 998 octets, also if it is broken before an `href`; a line
    /// that came longer is tracked
    LineTooLong = "line_too_long",
    /// the HTML ends inside a comment, a tag, a script or the like
    NoPixelPlace = "no_pixel_place",
    /// the HTML has no `<body>` tag, so that nothing says where its content begins
    NoInitialPixelPlace = "no_initial_pixel_place",
    /// there is no text/html part, or none that may change
    NoHtmlPart = "no_html_part",
    /// `multipart/signed`, or a text in PGP's armour
    SignedPart = "signed_part",
    /// `multipart/encrypted`, S/MIME, or a text in PGP's armour
    EncryptedPart = "encrypted_part",
    /// `multipart/report`
    ReportPart = "report_part",
    /// `Content-Disposition` with anything but `inline`
    AttachedPart = "attached_part",
    /// a text/html or text/plain that has a file name, beside a body that has none
    NamedFile = "named_file",
    /// two header fields, or two parameters of one, that must agree and differ
    AmbiguousHeader = "ambiguous_header",
    /// AMP allows `https` only, and the tracked URLs are `http`
    AmpNeedsHttps = "amp_needs_https",
    /// AMP that does not stand in a `multipart/alternative` beside text/html or text/plain
    NotAlternative = "not_alternative",
    /// shown only where another part of its `multipart/related` refers to it
    NotTopPart = "not_top_part",
    /// neither text/html, text/plain nor AMP; reported for parts only, never counted
    OtherMediaType = "other_media_type",
    /// `message/*`
    EmbeddedMessage = "embedded_message",
    /// it has `DKIM-Signature` or `ARC-Seal`
    SignedMessage = "signed_message",
    /// no registry knows the charset's name
    UnknownCharset = "unknown_charset",
    /// EBCDIC and others that are no supersets of ASCII, or UTF-16's byte order mark where another
    /// charset is named; of a link: its target can't be read
    UnsupportedCharset = "unsupported_charset",
    /// not 7bit, 8bit, binary, quoted-printable or base64
    UnknownTransferEncoding = "unknown_transfer_encoding",
    /// the body is not the base64 that its header promises
    MalformedTransferEncoding = "malformed_transfer_encoding",
    /// its header section has a line that is no header field
    MalformedMessage = "malformed_message",
    /// its header section has a line that is no header field, or no empty line that ends it; or a
    /// multipart names no boundary
    MalformedPart = "malformed_part",
    /// 1,000 parts stand before it; reported once for all the rest
    TooManyParts = "too_many_parts",
    /// more than 32 multiparts inside each other
    NestedTooDeep = "nested_too_deep",
    /// in a stream: a link's tag or a conditional comment is longer than 64 KiB; in a mail: a part
    /// changes its character set over four million times
    HtmlLimit = "html_limit",
    /// its copy would be over 8 MiB longer than the message, which goes on as it came
    TooMuchGrowth = "too_much_growth",
    /// neither opens nor clicks are tracked for it
    TrackingOff = "tracking_off",
    /// policy set `__bypass_smtpapi`, or the configuration does not load `smtpapi`; X-MSYS-API
    /// stays in the mail
    Bypassed = "bypassed",
    /// a defect of ours
    CoreFailure = "core_failure",
}

/// A set of reasons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u64);

impl Reasons {
    /// These and more.
    #[must_use]
    pub fn with(self, more: impl IntoIterator<Item = Reason>) -> Self {
        Self(more.into_iter().fold(self.0, |bits, reason| bits | 1 << reason.index()))
    }

    /// One bit for each, the lowest for the first of [`Reason::ALL`].
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<I: IntoIterator<Item = Reason>>(reasons: I) -> Self {
        Self::default().with(reasons)
    }
}

// A set has a bit for each.
const _: () = assert!(Reason::ALL.len() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_bit_of_its_own_in_the_order_of_the_list() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reasons::from_iter([*reason]).bits(), 1 << place);
        }
        let two = Reasons::from_iter([Reason::NoHost, Reason::NotHttp, Reason::NoHost]);
        assert_eq!(two.bits(), 0b11);
    }
}
