"""DKIM: signs what is sent, so that an upstream that can't sign is no obstacle."""
