"""Handles one message: opens it, decides on its copies, and renders them."""
