"""Servers made of a configuration, and run until a signal ends them."""
