"""Hits become events: classified, enriched, and logged once for all sinks."""
