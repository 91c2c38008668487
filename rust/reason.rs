//! Why something was left as it was: one list, so that logs, counters and documents agree.

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal),+ $(,)?) => {
        /// Why a link, a part or a message was left as it was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $variant),+ }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code that logs, counters and documents use.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

reasons! {
    /// `mailto:`, `tel:`, `cid:`, a fragment, relative, empty.
    NotHttp = "not_http",
    /// `http://` and nothing after it.
    NoHost = "no_host",
    /// `data-msys-clicktrack="0"`.
    OptedOut = "opted_out",
    /// The target fits a pattern of the configuration.
    NeverWrap = "never_wrap",
    /// Outlook's own links are not to be wrapped.
    OutlookLinksOff = "outlook_links_off",
    /// Links in plain text are not to be wrapped.
    TextLinksOff = "text_links_off",
    /// It goes on in the next line (RFC 3676 §4.1, `DelSp`).
    SplitLink = "split_link",
    /// Our own tracking domain and path: never wrapped twice.
    AlreadyTracked = "already_tracked",
    /// The tracked URL would pass 4,096 bytes even without metadata.
    UrlTooLong = "url_too_long",
    /// The line would pass 998 octets (RFC 5322 §2.1.1) and can't be folded.
    LineTooLong = "line_too_long",
    /// The HTML ends inside a comment, a tag or raw text: a pixel there would not be seen.
    NoPixelPlace = "no_pixel_place",
    /// The HTML has no `<body>`: nothing says where its content begins.
    NoInitialPixelPlace = "no_initial_pixel_place",
    /// No text/html part, or none that may be changed.
    NoHtmlPart = "no_html_part",
    /// A changed byte breaks the signature (RFC 1847 §2.1).
    SignedPart = "signed_part",
    /// `multipart/encrypted`, S/MIME.
    EncryptedPart = "encrypted_part",
    /// `multipart/report` (RFC 6522).
    ReportPart = "report_part",
    /// `Content-Disposition: attachment`.
    AttachedPart = "attached_part",
    /// `text/x-amp-html`.
    AmpPart = "amp_part",
    /// A text that is not the first of its kind.
    NotTopPart = "not_top_part",
    /// Neither text/html nor text/plain.
    OtherMediaType = "other_media_type",
    /// `message/*`: somebody else's mail.
    EmbeddedMessage = "embedded_message",
    /// `DKIM-Signature` or `ARC-Seal` on entry: a changed body voids it.
    SignedMessage = "signed_message",
    /// The charset's name is in no registry.
    UnknownCharset = "unknown_charset",
    /// The charset is no superset of ASCII.
    UnsupportedCharset = "unsupported_charset",
    /// A `Content-Transfer-Encoding` that RFC 2045 does not name.
    UnknownTransferEncoding = "unknown_transfer_encoding",
    /// The body is not what its `Content-Transfer-Encoding` says.
    MalformedTransferEncoding = "malformed_transfer_encoding",
    /// The header section has a line that is no header field.
    MalformedMessage = "malformed_message",
    /// Its header section has a line that is no header field, or no end; or a multipart names no
    /// boundary.
    MalformedPart = "malformed_part",
    /// More parts than we look at.
    TooManyParts = "too_many_parts",
    /// More multiparts inside each other than we follow.
    NestedTooDeep = "nested_too_deep",
    /// The HTML asks for more memory than a scan may have.
    HtmlLimit = "html_limit",
    /// Neither opens nor clicks are tracked for this recipient.
    TrackingOff = "tracking_off",
    /// Policy wants the message left alone, or nothing is to be tracked at all.
    Bypassed = "bypassed",
    /// A defect of ours: the original goes on.
    CoreFailure = "core_failure",
}
