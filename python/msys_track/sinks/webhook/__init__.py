"""Webhooks: events in batches over HTTP, as SparkPost sends them, signed as others verify them."""
