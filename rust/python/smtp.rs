//! SMTP's DATA bytes for Python: conversions, and the GIL released around long scans.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{BareNewlineError, without_gil};
use crate::smtp::data::{self, BareNewline};
use crate::smtp::relaxed;

/// The offset of the line that ends the data; `start` bytes were searched before.
#[pyfunction]
#[pyo3(signature = (buffer, start, /))]
pub(super) fn find_end_of_data(py: Python<'_>, buffer: &[u8], start: usize) -> Option<usize> {
    without_gil(py, buffer.len().saturating_sub(start), || data::find_end(buffer, start))
}

/// Wire bytes without the end line → message; the same object if no line began with a dot.
#[pyfunction]
#[pyo3(signature = (wire, /))]
pub(super) fn unstuff<'py>(wire: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
    let (py, bytes) = (wire.py(), wire.as_bytes());
    match without_gil(py, bytes.len(), || data::unstuff(bytes)) {
        Ok(Cow::Borrowed(_)) => Ok(wire.clone()),
        Ok(Cow::Owned(message)) => Ok(PyBytes::new(py, &message)),
        Err(BareNewline(offset)) => Err(BareNewlineError::new_err(offset)),
    }
}

/// Message → wire bytes with the end line.
#[pyfunction]
#[pyo3(signature = (message, /))]
pub(super) fn stuff<'py>(py: Python<'py>, message: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &without_gil(py, message.len(), || data::stuff(message)))
}

/// Wire bytes with lone CRs and LFs → wire bytes in which only CRLF is left.
#[pyfunction]
#[pyo3(signature = (wire, /))]
pub(super) fn normalize<'py>(py: Python<'py>, wire: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &without_gil(py, wire.len(), || data::normalize(wire)))
}

/// The body that begins at `start` of wire bytes, in DKIM's relaxed form.
#[pyfunction]
#[pyo3(signature = (wire, start, /))]
pub(super) fn relax_body<'py>(
    py: Python<'py>,
    wire: &[u8],
    start: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    match without_gil(py, wire.len(), || relaxed::relax_body(wire, start)) {
        Ok(body) => Ok(PyBytes::new(py, &body)),
        Err(BareNewline(offset)) => Err(BareNewlineError::new_err(offset)),
    }
}
