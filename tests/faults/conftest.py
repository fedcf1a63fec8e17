"""The two transports, and the loop that runs are made on: as in the tests of the providers."""

from tests.providers.conftest import kind, pytest_asyncio_loop_factories

__all__ = ["kind", "pytest_asyncio_loop_factories"]
