"""Tells people from machines: ordered rules, each of which says what it saw."""
