//! Plans for Python: conversions, the GIL released around long work, panics caught.

use pyo3::PyClass;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};

use std::collections::HashMap;
use std::sync::Arc;

use super::token::{Engagement, KeyRing};
use super::{RewriteError, catch_panic, value_error};
use crate::edit::Applied;
use crate::mime::entity::BodyPart;
use crate::mime::header::Section;
use crate::plan::{self, Hole, PlannedLink, Revision};
use crate::reason::Reason;
use crate::tracked::{self, TrackedPlan};

/// Scheme and domain of the tracker that a copy's links lead to.
#[pyclass(frozen, eq, hash, module = "msys_track._core")]
#[derive(PartialEq, Eq, Hash)]
pub(super) struct TrackedUrls {
    #[pyo3(get)]
    domain: String,
    #[pyo3(get)]
    click_scheme: String,
    #[pyo3(get)]
    open_scheme: String,
    #[pyo3(get)]
    click_metadata: bool,
    #[pyo3(get)]
    allow_downgrade: bool,
    pub(super) core: tracked::TrackedUrls,
}

#[pymethods]
impl TrackedUrls {
    #[new]
    #[pyo3(signature = (
        *, domain, click_scheme, open_scheme, click_metadata, allow_downgrade=true
    ))]
    fn new(
        domain: String,
        click_scheme: String,
        open_scheme: String,
        click_metadata: bool,
        allow_downgrade: bool,
    ) -> PyResult<Self> {
        let core = tracked::TrackedUrls::new(
            &domain, &click_scheme, &open_scheme, click_metadata, allow_downgrade,
        )
        .map_err(value_error)?;
        Ok(Self { domain, click_scheme, open_scheme, click_metadata, allow_downgrade, core })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let domain = PyString::new(py, &self.domain).repr()?;
        let (click, open) = (&self.click_scheme, &self.open_scheme);
        Ok(format!("<TrackedUrls of {domain}: clicks by {click}, opens by {open}>"))
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let arguments = PyDict::new(py);
        arguments.set_item("domain", &self.domain)?;
        arguments.set_item("click_scheme", &self.click_scheme)?;
        arguments.set_item("open_scheme", &self.open_scheme)?;
        arguments.set_item("click_metadata", self.click_metadata)?;
        arguments.set_item("allow_downgrade", self.allow_downgrade)?;
        Ok((PyTuple::empty(py), arguments))
    }
}

/// What may be touched, the same for all messages of one configuration.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Rules(pub(super) plan::Rules);

#[pymethods]
impl Rules {
    #[new]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "keyword arguments of a Python class"
    )]
    #[pyo3(signature = (
        *, signed_mail, outlook_links, text_links, keep_link_attributes, never_wrap,
        fold_long_lines, foreign_opt_outs, spare_url_text, strip_text_options, pixel_placeholder
    ))]
    fn new(
        signed_mail: &str,
        outlook_links: bool,
        text_links: bool,
        keep_link_attributes: bool,
        never_wrap: Vec<String>,
        fold_long_lines: bool,
        foreign_opt_outs: bool,
        spare_url_text: bool,
        strip_text_options: bool,
        pixel_placeholder: Option<String>,
    ) -> PyResult<Self> {
        let patterns = never_wrap.into_iter().map(|pattern| plan::Pattern::parse(&pattern));
        Ok(Self(plan::Rules {
            signed_mail: signed_mail.parse().map_err(value_error)?,
            outlook_links,
            text_links,
            keep_link_attributes,
            never_wrap: patterns.collect::<Result<_, _>>().map_err(value_error)?,
            fold_long_lines,
            foreign_opt_outs,
            spare_url_text,
            strip_text_options,
            pixel_placeholder,
        }))
    }
}

/// A link that copies may wrap.
#[pyclass(frozen, get_all, name = "Link", module = "msys_track._core")]
pub(super) struct PyLink {
    offset: usize,
    length: usize,
    target: String,
    name: Option<String>,
    kind: &'static str,
    sublink: Option<String>,
    r#where: &'static str,
}

impl From<&PlannedLink> for PyLink {
    fn from(PlannedLink { at, link }: &PlannedLink) -> Self {
        Self {
            offset: at.start.0,
            length: at.end.0 - at.start.0,
            target: link.target.clone(),
            name: link.name.clone(),
            kind: tracked::kind(link).name(),
            sublink: link.sublink.as_ref().map(|sublink| sublink.as_str().to_owned()),
            r#where: link.place.name(),
        }
    }
}

/// What stays as it is, the code of its reason, and where it leads if it is a link.
#[pyclass(frozen, get_all, module = "msys_track._core")]
pub(super) struct LeftAlone {
    offset: usize,
    length: usize,
    reason: &'static str,
    target: Option<String>,
}

impl From<&plan::LeftAlone> for LeftAlone {
    fn from(left: &plan::LeftAlone) -> Self {
        Self {
            offset: left.at.start.0,
            length: left.at.end.0 - left.at.start.0,
            reason: left.reason.code(),
            target: left.target.clone(),
        }
    }
}

/// A part that holds no other, or one that was not entered.
#[pyclass(frozen, get_all, name = "Part", module = "msys_track._core")]
pub(super) struct PyPart {
    offset: usize,
    length: usize,
    media_type: String,
    charset: Option<String>,
    transfer_encoding: String,
    reason: Option<&'static str>,
}

impl From<&BodyPart> for PyPart {
    fn from(part: &BodyPart) -> Self {
        Self {
            offset: part.body.start,
            length: part.body.len(),
            media_type: part.content_type.essence.clone(),
            charset: part.content_type.parameter("charset"),
            transfer_encoding: part.transfer_encoding.clone(),
            reason: part.reason.map(Reason::code),
        }
    }
}

pub(super) fn objects<'py, 'r, R, P>(
    py: Python<'py>,
    all: &'r [R],
) -> PyResult<Bound<'py, PyTuple>>
where
    P: PyClass + Into<PyClassInitializer<P>> + From<&'r R>,
{
    let all = all.iter().map(|one| Bound::new(py, P::from(one)));
    PyTuple::new(py, all.collect::<PyResult<Vec<_>>>()?)
}

/// A message and its edits, found once, rendered for each recipient.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Plan(pub(super) TrackedPlan<Message>);

/// A message that plans share.
#[derive(Clone)]
pub(super) struct Message(Arc<PyBackedBytes>);

impl Message {
    pub(super) fn new(message: PyBackedBytes) -> Self {
        Self(Arc::new(message))
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Finds what can be tracked in a message; header fields named in `drop_headers` go.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "an argument of a Python function")]
#[pyo3(name = "plan", signature = (message, rules, /, *, drop_headers=vec![]))]
pub(super) fn make_plan(
    py: Python<'_>,
    message: PyBackedBytes,
    rules: &Bound<'_, Rules>,
    drop_headers: Vec<PyBackedBytes>,
) -> PyResult<Plan> {
    let rules = &rules.get().0;
    catch_panic(py, "planning", message.len(), || {
        let dropped: Vec<&[u8]> = drop_headers.iter().map(|name| &**name).collect();
        TrackedPlan::new(plan::Plan::new(Message::new(message), rules, &dropped))
    })
    .map(Plan)
}

/// A `msys_track.keys.ring.KeyRing`, which holds the compiled ring.
#[derive(FromPyObject)]
pub(super) struct Keys<'py> {
    pub(super) core: Bound<'py, KeyRing>,
}

impl Plan {
    fn find_pixels(&self, initial: bool) -> Vec<usize> {
        let pixels = self.0.plan().pixels.iter();
        pixels.filter(|(hole, _)| hole.is_initial() == initial).map(|(_, at)| at.0).collect()
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "arguments of Python functions")]
impl Plan {
    #[expect(clippy::unused_self, reason = "a method of Python's")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Plan can't be pickled or copied: it holds its message and everything found in it; \
             pickle the message, and plan the message again",
        ))
    }

    #[getter]
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        objects::<_, PyLink>(py, &self.0.plan().links)
    }

    #[getter]
    fn left_alone<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        objects::<_, LeftAlone>(py, &self.0.plan().left_alone)
    }

    #[getter]
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        objects::<_, PyPart>(py, &self.0.plan().parts)
    }

    #[getter]
    fn pixel_offsets(&self) -> Vec<usize> {
        self.find_pixels(false)
    }

    #[getter]
    fn initial_pixel_offsets(&self) -> Vec<usize> {
        self.find_pixels(true)
    }

    #[getter]
    fn has_amp(&self) -> bool {
        self.0.plan().has_amp()
    }

    #[pyo3(signature = (changes, /))]
    fn revise(
        &self,
        py: Python<'_>,
        changes: HashMap<usize, Option<(String, Option<String>)>>,
    ) -> PyResult<Self> {
        let plan = self.0.plan();
        let revisions = changes.into_iter().map(|(number, change)| {
            let revision =
                change.map_or(Revision::Veto, |(target, name)| Revision::Replace { target, name });
            (number, revision)
        });
        let revisions = revisions.collect();
        let revised = catch_panic(py, "revising", plan.source().len(), || {
            plan.revise(revisions).map(TrackedPlan::new)
        })?;
        revised.map(Self).map_err(value_error)
    }

    #[pyo3(signature = (keys, engagement, urls, insertions=vec![], /))]
    fn render(
        slf: Bound<'_, Self>,
        keys: Keys<'_>,
        engagement: &Bound<'_, Engagement>,
        urls: &Bound<'_, TrackedUrls>,
        insertions: Vec<(usize, PyBackedBytes)>,
    ) -> PyResult<Rendered> {
        let plan = &slf.get().0;
        let (engagement, urls) = (&engagement.get().0, &urls.get().core);
        let keys = &keys.core.get().0;
        let rendered = catch_panic(slf.py(), "rendering", plan.plan().source().len(), || {
            plan.render(keys, engagement, urls, &borrow(&insertions))
        })?;
        Ok(Rendered { plan: slf.unbind(), copy: rendered.map_err(value_error)? })
    }

    #[pyo3(signature = (keys, engagements, urls, insertions=vec![], /))]
    fn render_all<'py>(
        slf: &Bound<'py, Self>,
        keys: Keys<'_>,
        engagements: Vec<Bound<'_, Engagement>>,
        urls: &Bound<'_, TrackedUrls>,
        insertions: Vec<(usize, PyBackedBytes)>,
    ) -> PyResult<Vec<Bound<'py, Rendered>>> {
        let py = slf.py();
        let plan = &slf.get().0;
        let engagements: Vec<_> = engagements.iter().map(|each| &*each.get().0).collect();
        let (keys, urls) = (&keys.core.get().0, &urls.get().core);
        let bytes = plan.plan().source().len().saturating_mul(engagements.len());
        let all = catch_panic(py, "rendering", bytes, || {
            let insertions = borrow(&insertions);
            let copy = |engagement| plan.render(keys, engagement, urls, &insertions);
            engagements.into_iter().map(copy).collect::<Result<Vec<_>, _>>()
        })?;
        let all = all
            .map_err(value_error)?
            .into_iter()
            .map(|copy| Bound::new(py, Rendered { plan: slf.clone().unbind(), copy }));
        all.collect()
    }
}

pub(super) fn borrow(insertions: &[(usize, PyBackedBytes)]) -> Vec<plan::Insertion<'_>> {
    insertions.iter().map(|(offset, lines)| (*offset, &**lines)).collect()
}

/// One recipient's copy; its bytes are written when they are asked for.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Rendered {
    plan: Py<Plan>,
    copy: tracked::Rendered,
}

/// A copy is written so many times as fast as its message was read.
pub(super) const COPYING: usize = 16;

#[pymethods]
impl Rendered {
    #[expect(clippy::unused_self, reason = "a method of Python's")]
    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Rendered can't be pickled or copied, because it holds its plan; pickle its message",
        ))
    }

    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let (plan, rendering) = (self.plan.get().0.plan(), &self.copy.rendering);
        let length = rendering.length();
        PyBytes::new_with(py, length, |out| {
            catch_panic(py, "writing", length / COPYING, || plan.write(rendering, out))?
                .ok_or_else(|| RewriteError::new_err("writing failed: a length is wrong"))
        })
    }

    #[getter]
    fn edits<'py>(&self, py: Python<'py>) -> PyResult<Vec<(usize, usize, Bound<'py, PyBytes>)>> {
        let message = self.message(py)?;
        let message = message.as_bytes();
        let edit = |Applied { source, rendered }: &Applied| {
            let inserted = message.get(rendered.clone()).unwrap_or_default();
            (source.start, source.len(), PyBytes::new(py, inserted))
        };
        Ok(self.copy.rendering.applied().iter().map(edit).collect())
    }

    #[getter]
    fn left_alone<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        objects::<_, LeftAlone>(py, &self.copy.rendering.left_alone)
    }

    #[getter]
    fn wrapped_links(&self) -> usize {
        self.copy.rendering.links
    }

    #[getter]
    fn pixels(&self) -> usize {
        self.copy.rendering.pixels
    }

    #[getter]
    fn clips_html(&self) -> bool {
        self.copy.rendering.clips_html
    }

    #[getter]
    fn links_without_metadata(&self) -> Vec<usize> {
        let number =
            |hole: &Hole| if let Hole::Href(number) = hole { Some(*number) } else { None };
        self.copy.without_metadata.iter().filter_map(number).collect()
    }

    #[getter]
    fn pixels_without_metadata(&self) -> Vec<&'static str> {
        let kind = |hole: &Hole| match hole {
            Hole::Href(_) => None,
            Hole::Pixel => Some("open"),
            Hole::InitialPixel => Some("initial_open"),
            Hole::AmpPixel => Some("amp_open"),
            Hole::AmpInitialPixel => Some("amp_initial_open"),
        };
        self.copy.without_metadata.iter().filter_map(kind).collect()
    }
}

/// A header field: offset and length of each run of its lines, and its value, still folded.
type Field<'py> = (Vec<(usize, usize)>, Bound<'py, PyBytes>);

/// The top-level header fields of that name.
#[pyfunction]
#[pyo3(signature = (message, name, /))]
pub(super) fn header_fields<'py>(py: Python<'py>, message: &[u8], name: &[u8]) -> Vec<Field<'py>> {
    let section = Section::parse_message(message);
    let fields = section.find_fields(message, name);
    fields
        .map(|field| {
            let lines = field.lines().map(|lines| (lines.start, lines.len())).collect();
            (lines, PyBytes::new(py, &field.value(message)))
        })
        .collect()
}
