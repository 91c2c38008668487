"""The key ring, and the files that keep it."""
