//! PCRE's patterns for Python: conversions only.

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::{value_error, without_gil};
use crate::pcre::{Pattern as CorePattern, PatternError};

/// First byte and end of a group; None if it took no part.
type Group = Option<(usize, usize)>;

/// A pattern in PCRE's syntax, matched in linear time.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Pattern {
    pattern: CorePattern,
}

#[pymethods]
impl Pattern {
    #[new]
    #[pyo3(signature = (pattern, /))]
    fn new(pattern: &str) -> PyResult<Self> {
        match CorePattern::new(pattern) {
            Ok(pattern) => Ok(Self { pattern }),
            Err(error @ PatternError::Syntax(_)) => Err(value_error(error)),
            Err(error) => Err(PyNotImplementedError::new_err(error.to_string())),
        }
    }

    /// The name of each group, the whole match first; None for a group without one.
    #[getter]
    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.pattern.names().collect::<Vec<_>>())
    }

    /// The range of each group in the first match from `start` on, in bytes of UTF-8.
    #[pyo3(signature = (subject, start, /))]
    fn find(&self, subject: &Bound<'_, PyString>, start: usize) -> PyResult<Option<Vec<Group>>> {
        let (py, subject) = (subject.py(), subject.to_str()?);
        let length = subject.len().saturating_sub(start);
        let found = without_gil(py, length, || self.pattern.find(subject, start));
        Ok(found.map(|groups| {
            groups.into_iter().map(|group| group.map(|range| (range.start, range.end))).collect()
        }))
    }
}
