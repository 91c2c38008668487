"""Policies in Lua, as Momentum runs them."""
