"""The relay: transactions over persistent connections to the next hop."""
