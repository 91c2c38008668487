//! Plans for Python: conversions, the GIL released around the work, panics caught.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};
use std::cell::RefCell;

use super::guarded;
use super::token::{Engagement, KeyRing};
use crate::edit::{Applied, RawRange};
use crate::mime::header::Section;
use crate::tracked::{self, TrackedPlan};

/// Scheme and domain of the tracker that a copy's links lead to.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct TrackedUrls(tracked::TrackedUrls);

#[pymethods]
impl TrackedUrls {
    #[new]
    #[pyo3(signature = (*, domain, click_scheme, open_scheme, click_metadata=true))]
    fn new(
        domain: &str,
        click_scheme: &str,
        open_scheme: &str,
        click_metadata: bool,
    ) -> PyResult<Self> {
        tracked::TrackedUrls::new(domain, click_scheme, open_scheme)
            .map(|urls| Self(urls.with_click_metadata(click_metadata)))
            .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
    }
}

/// A link that copies may wrap.
#[pyclass(frozen, get_all, module = "msys_track._core")]
pub(super) struct Link {
    offset: usize,
    length: usize,
    target: String,
    name: Option<String>,
}

/// What stays as it is, and the code of its reason.
#[pyclass(frozen, get_all, module = "msys_track._core")]
pub(super) struct LeftAlone {
    offset: usize,
    length: usize,
    reason: &'static str,
}

impl LeftAlone {
    fn all(left: &[crate::plan::LeftAlone]) -> Vec<Self> {
        left.iter()
            .map(|left| {
                let (offset, length) = offset_and_length(&left.at);
                Self { offset, length, reason: left.reason.code() }
            })
            .collect()
    }
}

fn offset_and_length(at: &RawRange) -> (usize, usize) {
    (at.start.0, at.end.0 - at.start.0)
}

/// A message and its edits, found once, rendered for each recipient.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Plan(TrackedPlan<PyBackedBytes>);

/// Finds what can be tracked in a message; header fields of the name `drop_header` go.
#[pyfunction]
#[pyo3(signature = (message, /, *, drop_header=None))]
pub(super) fn plan(
    py: Python<'_>,
    message: PyBackedBytes,
    drop_header: Option<&[u8]>,
) -> PyResult<Plan> {
    guarded(py, || TrackedPlan::new(crate::plan::Plan::new(message, drop_header))).map(Plan)
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A copy of this size need not be kept for the next one.
const MAX_SCRATCH: usize = 4 << 20;

#[pymethods]
impl Plan {
    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let links = self.0.plan().links.iter().map(|link| {
            let (offset, length) = offset_and_length(&link.at);
            Link { offset, length, target: link.target.clone(), name: link.name.clone() }
        });
        PyTuple::new(py, links.map(|link| Bound::new(py, link)).collect::<PyResult<Vec<_>>>()?)
    }

    #[getter]
    fn left_alone<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        left_alone_tuple(py, &self.0.plan().left_alone)
    }

    #[getter]
    fn pixel_offset(&self) -> Option<usize> {
        self.0.plan().pixel.map(|at| at.0)
    }

    #[pyo3(signature = (keys, engagement, urls, /))]
    fn render(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, KeyRing>,
        engagement: &Bound<'_, Engagement>,
        urls: &Bound<'_, TrackedUrls>,
    ) -> PyResult<Rendered> {
        let (keys, engagement, urls) = (keys.get(), engagement.get(), urls.get());
        let mut out = SCRATCH.with(RefCell::take);
        let (rendered, out) = guarded(py, move || {
            let rendered = self.0.render(&keys.0, &engagement.0, &urls.0, &mut out);
            (rendered, out)
        })?;
        let message = PyBytes::new(py, &out).unbind();
        if out.capacity() <= MAX_SCRATCH {
            SCRATCH.with(|scratch| scratch.replace(out));
        }
        Ok(Rendered { message, rendered })
    }
}

/// One recipient's copy.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Rendered {
    message: Py<PyBytes>,
    rendered: tracked::Rendered,
}

#[pymethods]
impl Rendered {
    #[getter]
    fn message(&self, py: Python<'_>) -> Py<PyBytes> {
        self.message.clone_ref(py)
    }

    #[getter]
    fn edits<'py>(&self, py: Python<'py>) -> Vec<(usize, usize, Bound<'py, PyBytes>)> {
        let message = self.message.as_bytes(py);
        let edit = |Applied { source, rendered }: &Applied| {
            let inserted = message.get(rendered.clone()).unwrap_or_default();
            (source.start, source.len(), PyBytes::new(py, inserted))
        };
        self.rendered.applied.iter().map(edit).collect()
    }

    #[getter]
    fn left_alone<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        left_alone_tuple(py, &self.rendered.left_alone)
    }

    #[getter]
    fn wrapped_links(&self) -> usize {
        self.rendered.links
    }

    #[getter]
    fn pixels(&self) -> usize {
        self.rendered.pixels
    }
}

fn left_alone_tuple<'py>(
    py: Python<'py>,
    left: &[crate::plan::LeftAlone],
) -> PyResult<Bound<'py, PyTuple>> {
    let left = LeftAlone::all(left).into_iter().map(|left| Bound::new(py, left));
    PyTuple::new(py, left.collect::<PyResult<Vec<_>>>()?)
}

/// A header field: the offset and length of its lines, and its value, still folded.
type Field<'py> = (usize, usize, Bound<'py, PyBytes>);

/// The top-level header fields of that name.
#[pyfunction]
#[pyo3(signature = (message, name, /))]
pub(super) fn header_fields<'py>(py: Python<'py>, message: &[u8], name: &[u8]) -> Vec<Field<'py>> {
    let section = Section::read(message, &(0..message.len()));
    let fields = section.named(message, name);
    fields
        .map(|field| {
            let value = message.get(field.value.clone()).unwrap_or_default();
            (field.lines.start, field.lines.len(), PyBytes::new(py, value))
        })
        .collect()
}
