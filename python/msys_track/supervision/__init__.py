"""Runs a server in several processes that share its ports: starts, watches, and replaces them."""
