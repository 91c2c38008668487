"""The way in: an SMTP listener that answers for the upstream, never in its place.

A message is taken when the upstream has taken every copy of it, and not before.
"""
