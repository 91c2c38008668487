"""The tracker: a reader's click or open comes in over HTTP, an answer and an event go out."""
