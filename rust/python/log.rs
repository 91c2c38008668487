//! Hit logs for Python. Putting keeps the GIL: it takes less time than handing it over.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::token::Claims;
use super::value_error;
use crate::log;

create_exception!(
    msys_track._core,
    HitLogLockedError,
    PyOSError,
    "Other processes write all hit logs that there may be."
);

/// A hit log that is open for writing.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct HitLog(pub(super) Arc<log::HitLog>);

#[pymethods]
impl HitLog {
    #[new]
    #[pyo3(signature = (logs, *, max_queued, batch_seconds, segment_bytes))]
    #[expect(clippy::needless_pass_by_value, reason = "an argument of a Python function")]
    fn new(
        logs: PathBuf,
        max_queued: usize,
        batch_seconds: f64,
        segment_bytes: u64,
    ) -> PyResult<Self> {
        let limits = log::Limits { max_queued, batch: seconds(batch_seconds)?, segment_bytes };
        match log::HitLog::open(&logs, limits) {
            Ok(log) => Ok(Self(Arc::new(log))),
            Err(error @ log::OpenError::Locked) => {
                Err(HitLogLockedError::new_err(error.to_string()))
            }
            Err(log::OpenError::Io(error)) => Err(os_error(&error)),
        }
    }

    #[pyo3(signature = (claims, at, address=None, agent=None, language=None, request=None))]
    fn put_hit(
        &self,
        claims: &Bound<'_, Claims>,
        at: u64,
        address: Option<&Bound<'_, PyString>>,
        agent: Option<&Bound<'_, PyString>>,
        language: Option<&Bound<'_, PyString>>,
        request: Option<&Bound<'_, PyString>>,
    ) -> PyResult<bool> {
        let client = log::Client {
            address: address.map(owned).transpose()?,
            agent: agent.map(owned).transpose()?,
            language: language.map(owned).transpose()?,
            request: request.map(owned).transpose()?,
        };
        let Claims { engagement, link } = claims.get();
        let (engagement, link) = (Arc::clone(engagement), Arc::clone(link));
        Ok(self.0.put_hit(&log::Hit { engagement, link, at, client }))
    }

    #[pyo3(signature = (line, /))]
    fn put_line(&self, line: &[u8]) -> PyResult<bool> {
        self.0.put_line(line).map_err(value_error)
    }

    fn flush(&self, py: Python<'_>, timeout_seconds: f64) -> PyResult<bool> {
        let timeout = seconds(timeout_seconds)?;
        Ok(py.detach(|| self.0.flush(timeout)))
    }

    fn close(&self, py: Python<'_>, timeout_seconds: f64) -> PyResult<u64> {
        let timeout = seconds(timeout_seconds)?;
        Ok(py.detach(|| self.0.close(timeout)))
    }

    fn figures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let log::Figures { accepted, written, dropped, failures, waiting, last_error } =
            self.0.figures();
        let figures = PyDict::new(py);
        figures.set_item("accepted", accepted)?;
        figures.set_item("written", written)?;
        figures.set_item("dropped", dropped)?;
        figures.set_item("failures", failures)?;
        figures.set_item("waiting", waiting)?;
        figures.set_item("last_error", last_error)?;
        Ok(figures)
    }
}

/// An error with its number, from which Python finds its class.
fn os_error(error: &std::io::Error) -> PyErr {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_owned();
    PyOSError::new_err((error.raw_os_error(), text))
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(value_error)
}

/// A text; half a surrogate pair, which UTF-8 can't hold, becomes a question mark.
fn owned(text: &Bound<'_, PyString>) -> PyResult<Box<str>> {
    if let Ok(text) = text.to_cow() {
        return Ok(text.into());
    }
    let bytes = text.call_method1("encode", ("utf-8", "replace"))?;
    Ok(String::from_utf8_lossy(bytes.cast::<PyBytes>()?.as_bytes()).into())
}
