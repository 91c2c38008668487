//! What a pass over HTML found.

use crate::edit::{PartOffset, PartRange};
use crate::link::{Link, Place};

/// What a pass found, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlScan {
    /// Links, those to leave among them.
    pub links: Vec<Link>,
    /// `data-msys-*` attributes, each with the white space before it.
    pub attributes: Vec<(PartRange, Place)>,
    /// Where the open pixel goes; `None` where the document ends in no markup.
    pub pixel: Option<PartOffset>,
    /// Behind the first `<body>` tag.
    pub initial_pixel: Option<PartOffset>,
}
