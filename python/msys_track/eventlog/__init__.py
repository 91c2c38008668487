"""Logs of events on disk: lines appended in batches, and readers with positions of their own."""
