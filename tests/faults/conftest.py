"""Real processes need no second event loop in the tests."""
