"""A proxy with workers, as the tests of the service have it."""

from tests.service.conftest import proxy

__all__ = ["proxy"]
