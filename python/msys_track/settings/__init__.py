"""Kinds of settings' values, and the keys that the rooms' settings carry."""
