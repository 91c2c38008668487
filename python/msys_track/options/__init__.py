"""Which options hold for a message, and why: so that no other room asks twice or differently."""
