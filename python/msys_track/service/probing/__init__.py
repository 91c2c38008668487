"""Probes of a whole installation from the outside: faults that no configuration file shows."""
