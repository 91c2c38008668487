"""The SMTP listener: it accepts a message once the upstream has accepted every copy."""
