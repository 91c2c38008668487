"""The way in: an SMTP listener that takes a message once the upstream has taken every copy."""
