"""The two transports, for faults that both must see."""

import pytest

from batchroute.providers.sdk import Sdk
from batchroute.providers.wire import Wire
from tests.providers.builders import Kind


@pytest.fixture(params=[Wire, Sdk], ids=["wire", "sdk"])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen
