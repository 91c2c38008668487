//! The click path for Python: conversions only.
//!
//! The GIL is kept: a read is answered in less time than handing it over takes.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::token::KeyRing;
use super::value_error;
use crate::http::{self, Exceptions, Limits, Replies, Rings};
use crate::log::HitLog;

/// Answers whole, plain GETs of tracked links.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct ClickPath {
    core: http::ClickPath,
    hits: Arc<HitLog>,
}

#[pymethods]
impl ClickPath {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python class")]
    #[expect(clippy::needless_pass_by_value, reason = "arguments of a Python function")]
    #[pyo3(signature = (
        hits, *, keys, keys_by_host, redirect_start, redirect_end, pixel_head, pixel_body, trusted,
        limits, targets, recipients, hashes
    ))]
    fn new(
        hits: &Bound<'_, super::log::HitLog>,
        keys: &Bound<'_, KeyRing>,
        keys_by_host: HashMap<String, Py<KeyRing>>,
        redirect_start: Vec<u8>,
        redirect_end: Vec<u8>,
        pixel_head: Vec<u8>,
        pixel_body: Vec<u8>,
        trusted: Vec<String>,
        limits: (usize, usize, usize, usize),
        targets: HashSet<String>,
        recipients: HashSet<String>,
        hashes: HashSet<[u8; 32]>,
    ) -> PyResult<Self> {
        let by_host =
            keys_by_host.into_iter().map(|(host, keys)| (host, Arc::clone(&keys.get().0)));
        let rings = Rings::new(Arc::clone(&keys.get().0), by_host.collect());
        let replies = Replies { redirect_start, redirect_end, pixel_head, pixel_body };
        let (max_target_bytes, max_header_bytes, max_headers, max_requests) = limits;
        let limits = Limits { max_target_bytes, max_header_bytes, max_headers, max_requests };
        let trusted: Result<_, _> = trusted.iter().map(|network| network.parse()).collect();
        let trusted = trusted.map_err(|error: http::NotANetwork| value_error(error))?;
        let exceptions = Exceptions { targets, recipients, hashes };
        let core = http::ClickPath::new(rings, replies, limits, trusted, exceptions);
        Ok(Self { core, hits: Arc::clone(&hits.get().0) })
    }

    /// The bytes of the answer to a read, and whether the connection ends with them; None leaves
    /// the read to others, with nothing done.
    #[pyo3(signature = (read, peer, at, /))]
    fn answer<'py>(
        &self,
        py: Python<'py>,
        read: &[u8],
        peer: Option<&str>,
        at: u64,
    ) -> Option<(Bound<'py, PyBytes>, bool)> {
        // A defect of the core's costs time: the whole parser reads on.
        let answer =
            catch_unwind(AssertUnwindSafe(|| self.core.answer(read, peer, at, &*self.hits)));
        let answer = answer.ok().flatten()?;
        Some((PyBytes::new(py, &answer.bytes), answer.closes))
    }

    /// Clicks and opens since this was called last.
    fn take_counts(&self) -> (u64, u64) {
        let http::Counts { clicks, opens } = self.core.take_counts();
        (clicks, opens)
    }
}
