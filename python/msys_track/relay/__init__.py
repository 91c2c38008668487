"""The way out: transactions over persistent connections to the next hop."""
