"""Charsets: how bytes read, and the way back to them."""
