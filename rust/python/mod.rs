//! The Python extension: converts, releases the GIL for long work, translates errors, and nothing
//! else.

use mimalloc::MiMalloc;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::{create_exception, import_exception};
use std::panic::{AssertUnwindSafe, catch_unwind};

mod click;
mod log;
mod pcre;
mod plan;
mod recipe;
mod smtp;
mod stream;
mod token;
mod toml;

/// The C library gives the pages of a large message back after each call and takes them anew: at
/// 1 MB with many links that is a third of the time. What Python allocates stays with Python.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

import_exception!(msys_track.errors, RewriteError);
create_exception!(
    msys_track._core,
    TokenError,
    PyException,
    "A token that no key of the ring sealed, or claims that no token can hold."
);
create_exception!(
    msys_track._core,
    BareNewlineError,
    PyException,
    "A bare CR or LF in SMTP data; its offset is the argument."
);

/// From how many bytes of input on the GIL is released.
///
/// A thread that finds it taken when it comes back waits until the other lets go, for up to a switch
/// interval (5 ms in `CPython`). Fewer bytes than these are done with in a tenth of a millisecond.
const MIN_BYTES_WITHOUT_GIL: usize = 32 << 10;

/// Runs `work` on that many bytes, without the GIL if they are many.
fn without_gil<T: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce() -> T + Send) -> T {
    if bytes < MIN_BYTES_WITHOUT_GIL { work() } else { py.detach(work) }
}

/// Runs a step of rewriting like `without_gil`; a panic becomes a `RewriteError`.
fn catch_panic<T: Send>(
    py: Python<'_>,
    step: &str,
    bytes: usize,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    without_gil(py, bytes, || catch_unwind(AssertUnwindSafe(work))).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().unwrap_or("the core panicked");
        RewriteError::new_err(format!("{step} failed: {text}"))
    })
}

/// An argument that means nothing.
fn value_error(error: impl std::error::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pymodule]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::{PyDict, PyMappingProxy};

    #[pymodule_export]
    use super::click::ClickPath;
    #[pymodule_export]
    use super::log::HitLog;
    #[pymodule_export]
    use super::pcre::Pattern;
    #[pymodule_export]
    use super::plan::{Rules, TrackedUrls, header_fields, make_plan};
    #[pymodule_export]
    use super::recipe::Recipe;
    #[pymodule_export]
    use super::smtp::{find_end_of_data, normalize, relax_body, stuff, unstuff};
    #[pymodule_export]
    use super::stream::HtmlStream;
    #[pymodule_export]
    use super::token::{Claims, Engagement, KeyRing};
    #[pymodule_export]
    use super::toml::read_toml;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        // Imported now, so that a name that is gone shows at once and not at the first panic.
        py.get_type::<super::RewriteError>();
        module.add("TokenError", py.get_type::<super::TokenError>())?;
        module.add("HitLogLockedError", py.get_type::<super::log::HitLogLockedError>())?;
        module.add("BareNewlineError", py.get_type::<super::BareNewlineError>())?;
        let reasons = PyDict::new(py);
        for reason in crate::reason::Reason::ALL {
            reasons.set_item(reason.code(), reason.meaning())?;
        }
        module.add("REASONS", PyMappingProxy::new(py, reasons.as_mapping()))
    }
}
