"""Rewriting: a message becomes a plan once, and a plan becomes a copy for each recipient."""
