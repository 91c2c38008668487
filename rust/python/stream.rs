//! Streams for Python: one document that goes by, used by one thread at a time.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::sync::{Mutex, MutexGuard};

use super::catch_panic;
use super::plan::{Keys, LeftAlone, Rules, TrackedUrls, objects};
use super::token::{Engagement, KeyRing};
use crate::charset::Charset;
use crate::reason::Reason;
use crate::stream::{self, Progress, Sealing};

/// An HTML document that goes by.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct HtmlStream {
    keys: Py<KeyRing>,
    engagement: Py<Engagement>,
    urls: Py<TrackedUrls>,
    state: Mutex<State>,
}

struct State {
    stream: stream::HtmlStream,
    ended: bool,
}

#[pymethods]
impl HtmlStream {
    #[new]
    fn new(
        keys: Keys<'_>,
        engagement: Bound<'_, Engagement>,
        urls: Bound<'_, TrackedUrls>,
        rules: &Bound<'_, Rules>,
        charset: Option<&str>,
    ) -> Self {
        let rules = rules.get().0.clone();
        let (charset, refused) = match Charset::for_label(charset) {
            Ok(charset) => (charset, None),
            Err(reason) => (Charset::default(), Some(reason)),
        };
        let mut stream = stream::HtmlStream::new(charset, rules, &engagement.get().0);
        if let Some(reason) = refused {
            stream.give_up(reason, &mut Vec::new());
        }
        Self {
            keys: keys.core.unbind(),
            engagement: engagement.unbind(),
            urls: urls.unbind(),
            state: Mutex::new(State { stream, ended: false }),
        }
    }

    fn write<'py>(&self, py: Python<'py>, chunk: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut state = self.lock()?;
        Ok(self.work(py, &mut state, chunk.len(), |stream, sealing, out| {
            stream.write(chunk, sealing, out);
        }))
    }

    fn end<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut state = self.lock()?;
        state.ended = true;
        Ok(self.work(py, &mut state, stream::MAX_HELD, stream::HtmlStream::end))
    }

    #[getter]
    fn wrapped_links(&self) -> PyResult<usize> {
        self.progress(|progress| progress.wrapped_links)
    }

    #[getter]
    fn pixels(&self) -> PyResult<usize> {
        self.progress(|progress| progress.pixels)
    }

    #[getter]
    fn without_metadata(&self) -> PyResult<usize> {
        self.progress(|progress| progress.without_metadata)
    }

    #[getter]
    fn left_alone<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.progress(|progress| objects::<_, LeftAlone>(py, &progress.left_alone))?
    }

    #[getter]
    fn reasons(&self) -> PyResult<Vec<(&'static str, usize)>> {
        let code = |(reason, count): &(Reason, usize)| (reason.code(), *count);
        self.progress(|progress| progress.reasons.iter().map(code).collect())
    }
}

impl HtmlStream {
    fn try_lock(&self) -> PyResult<MutexGuard<'_, State>> {
        self.state.try_lock().map_err(|_| {
            PyRuntimeError::new_err(
                "another thread is using this HtmlRewriter: a document has one order, \
                 so let one thread write it",
            )
        })
    }

    /// The document, if it has not ended.
    fn lock(&self) -> PyResult<MutexGuard<'_, State>> {
        let state = self.try_lock()?;
        if state.ended {
            return Err(PyValueError::new_err(
                "end() was called: make another HtmlRewriter for the next document",
            ));
        }
        Ok(state)
    }

    fn progress<T>(&self, read: impl FnOnce(&Progress) -> T) -> PyResult<T> {
        Ok(read(self.try_lock()?.stream.progress()))
    }

    /// Does a step; after a panic the rest of the document passes as it is.
    fn work<'py>(
        &self,
        py: Python<'py>,
        state: &mut State,
        bytes: usize,
        step: impl FnOnce(&mut stream::HtmlStream, &Sealing<'_>, &mut Vec<u8>) + Send,
    ) -> Bound<'py, PyBytes> {
        let sealing = Sealing {
            keys: &self.keys.get().0,
            engagement: &self.engagement.get().0,
            urls: &self.urls.get().core,
        };
        let mut out = Vec::with_capacity(bytes + bytes / 4);
        let stream = &mut state.stream;
        let done = catch_panic(py, "streaming", bytes, || step(stream, &sealing, &mut out));
        if done.is_err() {
            stream.give_up(Reason::CoreFailure, &mut out);
        }
        PyBytes::new(py, &out)
    }
}
