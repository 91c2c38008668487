"""Kafka: events as records, those of one message in order, to a topic and back from it."""
