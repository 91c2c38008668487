"""Policies in Lua, run as Momentum runs them."""
