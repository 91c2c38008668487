"""Tokens in pure Python: what the compiled core does with them, written from `docs/tokens.md`.

The reference engine seals with it, and where the core is not compiled everything does. It needs
the package cryptography.
"""
