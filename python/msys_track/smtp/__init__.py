"""Shared by both sides of SMTP: replies, paths, capabilities, and the bytes of DATA."""
