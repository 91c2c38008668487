"""Momentum's `ecelerity.conf`, read into the shape of our own file."""
