//! The claims that benches seal.

use msys_track::token::{Engagement, Privacy, RecipientType};

/// What a copy's links have in common; the texts are what differs in size.
pub(crate) fn engagement(
    recipient: &str,
    campaign_id: Option<&str>,
    metadata: &str,
) -> Engagement {
    Engagement {
        message_id: "00066d2bb36a0f10a4d3".to_owned(),
        transmission_id: 0,
        injected_at: 1_790_000_000,
        lifetime_seconds: 31_536_000,
        customer_id: 1,
        subaccount_id: None,
        recipient: recipient.to_owned(),
        recipient_type: RecipientType::To,
        campaign_id: campaign_id.map(str::to_owned),
        metadata: Some(metadata.to_owned()),
        tags: Vec::new(),
        open_tracking: true,
        click_tracking: true,
        initial_pixel: false,
        amp_enabled: false,
        transactional: false,
        privacy: Privacy::Full,
    }
}
