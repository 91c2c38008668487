"""Makes servers of a configuration, and runs them until a signal ends them."""
