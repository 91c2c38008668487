//! Tokens for Python: conversions only.
//!
//! The GIL is kept: sealing or opening one token takes less time than handing it over.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::{TokenError, value_error};
use crate::token;

/// What all links of one recipient's copy say.
#[pyclass(frozen, module = "msys_track._core")]
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
        transactional=false
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
}

/// Everything that one link says.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct Claims {
    engagement: Arc<token::Engagement>,
    link: token::LinkClaims,
}

#[pymethods]
impl Claims {
    #[new]
    #[pyo3(signature = (*, kind, engagement, target=None, link_name=None))]
    fn new(
        kind: &str,
        engagement: &Bound<'_, Engagement>,
        target: Option<String>,
        link_name: Option<String>,
    ) -> PyResult<Self> {
        let kind = kind.parse().map_err(value_error)?;
        let link = token::LinkClaims { kind, target, name: link_name };
        Ok(Self { engagement: Arc::clone(&engagement.get().0), link })
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

    #[getter]
    fn engagement(&self) -> Engagement {
        Engagement(Arc::clone(&self.engagement))
    }
}

/// Keys by their numbers: the first seals, all of them open.
#[pyclass(frozen, module = "msys_track._core")]
pub(super) struct KeyRing(pub(super) token::KeyRing);

#[pymethods]
impl KeyRing {
    #[new]
    #[pyo3(signature = (keys, /))]
    fn new(keys: Vec<(u8, [u8; 32])>) -> PyResult<Self> {
        token::KeyRing::new(keys).map(Self).map_err(value_error)
    }

    #[pyo3(signature = (claims, /))]
    fn seal(&self, claims: &Bound<'_, Claims>) -> PyResult<String> {
        let claims = claims.get();
        self.0.seal(&claims.engagement, &claims.link).map_err(token_error)
    }

    #[pyo3(signature = (path, /))]
    fn open(&self, path: &str) -> PyResult<Claims> {
        let token::Claims { engagement, link } = self.0.open(path).map_err(token_error)?;
        Ok(Claims { engagement: Arc::new(engagement), link })
    }
}

fn token_error(error: impl std::error::Error) -> PyErr {
    TokenError::new_err(error.to_string())
}
