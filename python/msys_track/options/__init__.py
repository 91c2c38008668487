"""Resolves a message's options and where each comes from; no other room decides about them."""
