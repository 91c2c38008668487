//! Recipes for Python: a message in, wire bytes and counts out.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::plan::{COPYING, Keys, Message, Plan, Rules, TrackedUrls, borrow};
use super::token::{Engagement, KeyRing};
use super::{RewriteError, catch_panic, value_error, without_gil};
use crate::plan::Rendering;
use crate::recipe::{self, Copy, Reader};
use crate::smtp::data;
use crate::tracked::TrackedPlan;

/// All that decides about the copies of a message but who reads them.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Recipe {
    keys: Py<KeyRing>,
    core: recipe::Recipe,
}

/// A reader as Python gives it: address, type, injection time, id of the copy, of the message.
type ReaderFields<'r> = (&'r str, &'r str, u64, &'r str, u64);

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "arguments of Python functions")]
impl Recipe {
    #[new]
    #[pyo3(signature = (
        keys, engagement, urls, rules, /, *, drop_headers, tracks_amp, max_growth_bytes
    ))]
    fn new(
        keys: Keys<'_>,
        engagement: &Bound<'_, Engagement>,
        urls: &Bound<'_, TrackedUrls>,
        rules: &Bound<'_, Rules>,
        drop_headers: Vec<PyBackedBytes>,
        tracks_amp: bool,
        max_growth_bytes: usize,
    ) -> Self {
        let core = recipe::Recipe {
            rules: rules.get().0.clone(),
            urls: urls.get().core.clone(),
            engagement: (*engagement.get().0).clone(),
            dropped: drop_headers.iter().map(|name| name.to_vec()).collect(),
            tracks_amp,
            max_growth: max_growth_bytes,
        };
        Self { keys: keys.core.unbind(), core }
    }

    /// Plans a message and makes the copy for its only reader.
    #[pyo3(signature = (message, reader, insertions=vec![], /))]
    fn rewrite(
        &self,
        py: Python<'_>,
        message: PyBackedBytes,
        reader: ReaderFields<'_>,
        insertions: Vec<(usize, PyBackedBytes)>,
    ) -> PyResult<WireCopy> {
        let (plan, copy) = self.make_copy(py, message, reader, &insertions)?;
        write_copy(py, &plan, &copy)
    }

    /// Plans a message and makes the copy for its only reader, as a message.
    #[pyo3(signature = (message, reader, insertions=vec![], /))]
    fn rewrite_message<'py>(
        &self,
        py: Python<'py>,
        message: PyBackedBytes,
        reader: ReaderFields<'_>,
        insertions: Vec<(usize, PyBackedBytes)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (plan, copy) = self.make_copy(py, message, reader, &insertions)?;
        write_message(py, &plan, &copy.rendered.rendering, b"")
    }

    /// Makes one reader's copy of a message that was planned by the same rules.
    #[pyo3(signature = (plan, reader, insertions=vec![], /))]
    fn render(
        &self,
        py: Python<'_>,
        plan: &Bound<'_, Plan>,
        reader: ReaderFields<'_>,
        insertions: Vec<(usize, PyBackedBytes)>,
    ) -> PyResult<WireCopy> {
        let (plan, reader) = (&plan.get().0, read_reader(reader)?);
        let copy = catch_panic(py, "rendering", plan.plan().source().len(), || {
            self.core.render(plan, &self.keys.get().0, &reader, &borrow(&insertions))
        })?;
        write_copy(py, plan, &copy.map_err(value_error)?)
    }
}

impl Recipe {
    fn make_copy(
        &self,
        py: Python<'_>,
        message: PyBackedBytes,
        reader: ReaderFields<'_>,
        insertions: &[(usize, PyBackedBytes)],
    ) -> PyResult<(TrackedPlan<Message>, Copy)> {
        let reader = read_reader(reader)?;
        let length = message.len();
        let (plan, copy) = catch_panic(py, "rewriting", length, || {
            let plan = self.core.plan(Message::new(message));
            let copy = self.core.render(&plan, &self.keys.get().0, &reader, &borrow(insertions));
            (plan, copy)
        })?;
        Ok((plan, copy.map_err(value_error)?))
    }
}

fn read_reader(
    (address, recipient_type, injected_at, message_id, transmission_id): ReaderFields<'_>,
) -> PyResult<Reader<'_>> {
    let recipient_type = recipient_type.parse().map_err(value_error)?;
    Ok(Reader { address, recipient_type, injected_at, message_id, transmission_id })
}

/// Writes a copy and what follows it.
fn write_message<'py>(
    py: Python<'py>,
    plan: &TrackedPlan<Message>,
    rendering: &Rendering,
    end: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let size = rendering.length();
    PyBytes::new_with(py, size + end.len(), |out| {
        catch_panic(py, "writing", size / COPYING, || {
            let (message, after) = out.split_at_mut_checked(size)?;
            after.copy_from_slice(end);
            plan.plan().write(rendering, message)
        })?
        .ok_or_else(|| RewriteError::new_err("writing failed: a length is wrong"))
    })
}

fn write_copy(py: Python<'_>, plan: &TrackedPlan<Message>, copy: &Copy) -> PyResult<WireCopy> {
    let rendering = &copy.rendered.rendering;
    let size = rendering.length();
    // Right for most copies: no line of theirs begins with a dot.
    let guess = write_message(py, plan, rendering, data::END)?;
    let message = guess.as_bytes().get(..size).unwrap_or_default();
    let (stuffing, is_seven_bit) =
        without_gil(py, size / COPYING, || (data::stuffing(message), message.is_ascii()));
    let wire = if stuffing == data::END.len() {
        guess.clone()
    } else {
        PyBytes::new_with(py, size + stuffing, |out| {
            without_gil(py, size / COPYING, || data::stuff_into(message, out));
            Ok(())
        })?
    };
    let is_tracked = copy.is_tracked;
    Ok(WireCopy {
        wire: wire.unbind(),
        size,
        is_seven_bit,
        is_tracked,
        wrapped_links: if is_tracked { rendering.links } else { 0 },
        pixels: if is_tracked { rendering.pixels } else { 0 },
        reasons: copy.reasons.bits(),
        clips_html: is_tracked && rendering.clips_html,
        lacks_metadata: is_tracked && !copy.rendered.without_metadata.is_empty(),
    })
}

/// A copy as it goes to the upstream.
#[pyclass(frozen, get_all, module = "msys_track._core")]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct WireCopy {
    wire: Py<PyBytes>,
    size: usize,
    is_seven_bit: bool,
    is_tracked: bool,
    wrapped_links: usize,
    pixels: usize,
    reasons: u64,
    clips_html: bool,
    lacks_metadata: bool,
}
