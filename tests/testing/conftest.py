"""The stage that the demo's tests have: doubles are tried between the real servers."""

from tests.demo.conftest import anyio_backend, stage

__all__ = ["anyio_backend", "stage"]
