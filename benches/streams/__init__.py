"""Events through brokers: what the sinks reach beside a bare producer, and a whole layout."""
