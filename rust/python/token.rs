//! Tokens for Python: conversions only.
//!
//! The GIL is kept: sealing or opening one token takes less time than handing it over.

use std::num::NonZero;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{TokenError, value_error};
use crate::token;

/// What all links of one recipient's copy say.
#[pyclass(frozen, eq, hash, module = "msys_track._core")]
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Engagement(pub(super) Arc<token::Engagement>);

#[pymethods]
impl Engagement {
    #[new]
    #[expect(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "keyword arguments of a Python class"
    )]
    #[pyo3(signature = (
        *, message_id, recipient, injected_at, expires_at, customer_id, transmission_id=0,
        recipient_type="to", campaign_id=None, metadata=None, tags=vec![], subaccount_id=None,
        open_tracking=false, click_tracking=false, initial_pixel=false, amp_enabled=false,
        transactional=false, privacy="full"
    ))]
    fn new(
        message_id: String,
        recipient: String,
        injected_at: u64,
        expires_at: u64,
        customer_id: u32,
        transmission_id: u64,
        recipient_type: &str,
        campaign_id: Option<String>,
        metadata: Option<String>,
        tags: Vec<String>,
        subaccount_id: Option<u32>,
        open_tracking: bool,
        click_tracking: bool,
        initial_pixel: bool,
        amp_enabled: bool,
        transactional: bool,
        privacy: &str,
    ) -> PyResult<Self> {
        let lifetime_seconds = expires_at
            .checked_sub(injected_at)
            .ok_or_else(|| PyValueError::new_err("expires_at is before injected_at"))?;
        Ok(Self(Arc::new(token::Engagement {
            message_id,
            transmission_id,
            injected_at,
            lifetime_seconds,
            customer_id,
            subaccount_id,
            recipient,
            recipient_type: recipient_type.parse().map_err(value_error)?,
            campaign_id,
            metadata,
            tags,
            open_tracking,
            click_tracking,
            initial_pixel,
            amp_enabled,
            transactional,
            privacy: privacy.parse().map_err(value_error)?,
        })))
    }

    #[getter]
    fn message_id(&self) -> &str {
        &self.0.message_id
    }

    #[getter]
    fn recipient(&self) -> &str {
        &self.0.recipient
    }

    #[getter]
    fn injected_at(&self) -> u64 {
        self.0.injected_at
    }

    #[getter]
    fn expires_at(&self) -> u64 {
        self.0.expires_at()
    }

    #[getter]
    fn transmission_id(&self) -> u64 {
        self.0.transmission_id
    }

    #[getter]
    fn recipient_type(&self) -> &'static str {
        self.0.recipient_type.name()
    }

    #[getter]
    fn campaign_id(&self) -> Option<&str> {
        self.0.campaign_id.as_deref()
    }

    #[getter]
    fn metadata(&self) -> Option<&str> {
        self.0.metadata.as_deref()
    }

    #[getter]
    fn tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.tags)
    }

    #[getter]
    fn customer_id(&self) -> u32 {
        self.0.customer_id
    }

    #[getter]
    fn subaccount_id(&self) -> Option<u32> {
        self.0.subaccount_id
    }

    #[getter]
    fn open_tracking(&self) -> bool {
        self.0.open_tracking
    }

    #[getter]
    fn click_tracking(&self) -> bool {
        self.0.click_tracking
    }

    #[getter]
    fn initial_pixel(&self) -> bool {
        self.0.initial_pixel
    }

    #[getter]
    fn amp_enabled(&self) -> bool {
        self.0.amp_enabled
    }

    #[getter]
    fn transactional(&self) -> bool {
        self.0.transactional
    }

    #[getter]
    fn privacy(&self) -> &'static str {
        self.0.privacy.name()
    }

    /// Names the copy; who reads it and what the sender says of them stay out of logs.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let token::Engagement { transmission_id, injected_at, customer_id, .. } = &*self.0;
        Ok(format!(
            "Engagement(message_id={}, transmission_id={transmission_id}, \
             customer_id={customer_id}, injected_at={injected_at}, expires_at={})",
            PyString::new(py, &self.0.message_id).repr()?,
            self.expires_at(),
        ))
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let arguments = PyDict::new(py);
        arguments.set_item("message_id", self.message_id())?;
        arguments.set_item("recipient", self.recipient())?;
        arguments.set_item("injected_at", self.injected_at())?;
        arguments.set_item("expires_at", self.expires_at())?;
        arguments.set_item("customer_id", self.customer_id())?;
        arguments.set_item("transmission_id", self.transmission_id())?;
        arguments.set_item("recipient_type", self.recipient_type())?;
        arguments.set_item("campaign_id", self.campaign_id())?;
        arguments.set_item("metadata", self.metadata())?;
        arguments.set_item("tags", self.tags(py)?)?;
        arguments.set_item("subaccount_id", self.subaccount_id())?;
        arguments.set_item("open_tracking", self.open_tracking())?;
        arguments.set_item("click_tracking", self.click_tracking())?;
        arguments.set_item("initial_pixel", self.initial_pixel())?;
        arguments.set_item("amp_enabled", self.amp_enabled())?;
        arguments.set_item("transactional", self.transactional())?;
        arguments.set_item("privacy", self.privacy())?;
        Ok((PyTuple::empty(py), arguments))
    }
}

/// Everything that one link says.
#[pyclass(frozen, eq, hash, module = "msys_track._core")]
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Claims {
    pub(super) engagement: Arc<token::Engagement>,
    pub(super) link: Arc<token::LinkClaims>,
}

impl From<token::Claims> for Claims {
    fn from(token::Claims { engagement, link }: token::Claims) -> Self {
        Self { engagement: Arc::new(engagement), link: Arc::new(link) }
    }
}

#[pymethods]
impl Claims {
    #[new]
    #[pyo3(signature = (
        *, kind, engagement, target=None, link_name=None, link_number=None, link_part=None
    ))]
    fn new(
        kind: &str,
        engagement: &Bound<'_, Engagement>,
        target: Option<String>,
        link_name: Option<String>,
        link_number: Option<u32>,
        link_part: Option<&str>,
    ) -> PyResult<Self> {
        let kind = kind.parse().map_err(value_error)?;
        let part = link_part.map(str::parse).transpose().map_err(value_error)?;
        let position = match (link_number.map(NonZero::new), part) {
            (None, None) => None,
            (Some(Some(number)), Some(part)) => Some(token::Position { number, part }),
            (Some(None), _) => return Err(PyValueError::new_err("link_number is from 1 on")),
            _ => {
                let text = "link_number and link_part are given together, or neither";
                return Err(PyValueError::new_err(text));
            }
        };
        let link = token::LinkClaims { kind, target, name: link_name, position };
        Ok(Self { engagement: Arc::clone(&engagement.get().0), link: Arc::new(link) })
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.link.kind.name()
    }

    #[getter]
    fn target(&self) -> Option<&str> {
        self.link.target.as_deref()
    }

    #[getter]
    fn link_name(&self) -> Option<&str> {
        self.link.name.as_deref()
    }

    /// The link's number from 1 on among those of its kind of part.
    #[getter]
    fn link_number(&self) -> Option<u32> {
        self.link.position.map(|position| position.number.get())
    }

    #[getter]
    fn link_part(&self) -> Option<&'static str> {
        self.link.position.map(|position| position.part.name())
    }

    #[getter]
    fn engagement(&self) -> Engagement {
        Engagement(Arc::clone(&self.engagement))
    }

    /// Whether the link makes no events any more at `now`, in Unix seconds.
    #[pyo3(signature = (now, /))]
    fn is_expired(&self, now: &Bound<'_, PyAny>) -> PyResult<bool> {
        // Compared by Python, so that no large number loses digits.
        now.ge(self.engagement.expires_at())
    }

    /// Names link and copy; targets often hold secrets of their reader's.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let position = self.link.position.map(|token::Position { number, part }| {
            format!("link_number={number}, link_part='{}', ", part.name())
        });
        Ok(format!(
            "Claims(kind='{}', {}engagement={})",
            self.kind(),
            position.unwrap_or_default(),
            self.engagement().__repr__(py)?
        ))
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let arguments = PyDict::new(py);
        arguments.set_item("kind", self.kind())?;
        arguments.set_item("engagement", self.engagement())?;
        arguments.set_item("target", self.target())?;
        arguments.set_item("link_name", self.link_name())?;
        arguments.set_item("link_number", self.link_number())?;
        arguments.set_item("link_part", self.link_part())?;
        Ok((PyTuple::empty(py), arguments))
    }
}

/// Keys by their numbers: the first seals, all of them open.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct KeyRing(pub(super) Arc<token::KeyRing>);

#[pymethods]
impl KeyRing {
    #[new]
    #[pyo3(signature = (keys, /))]
    #[expect(clippy::needless_pass_by_value, reason = "an argument of a Python function")]
    fn new(keys: Vec<(u8, [u8; 32])>) -> PyResult<Self> {
        token::KeyRing::new(&keys).map(|ring| Self(Arc::new(ring))).map_err(value_error)
    }

    #[pyo3(signature = (claims, /))]
    fn seal(&self, claims: &Bound<'_, Claims>) -> PyResult<String> {
        let claims = claims.get();
        self.0.seal(&claims.engagement, &claims.link).map_err(token_error)
    }

    #[pyo3(signature = (path, /))]
    fn open(&self, path: &str) -> PyResult<Claims> {
        self.0.open(path).map(Claims::from).map_err(token_error)
    }
}

fn token_error(error: impl std::error::Error) -> PyErr {
    TokenError::new_err(error.to_string())
}
