"""The two transports, for tests that both must pass."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from batchroute.providers.sdk import Sdk
from batchroute.providers.wire import Wire
from tests.providers.builders import Kind


@pytest.fixture(params=[Wire, Sdk], ids=["wire", "sdk"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that runs are made on, which is not the one of asyncio's own tests."""
    return {"uvloop": uvloop.new_event_loop}
