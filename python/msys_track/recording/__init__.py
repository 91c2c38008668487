"""Makes events of hits: judges who made each, adds what is known of them, and writes them once."""
