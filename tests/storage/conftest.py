"""One server for all tests, a bucket for each."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.storage.servers import ALONE, KEY_ID, OURS, SECRET, Gate, Storage, moto

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the job file's variables, and no others."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ALONE, "STORAGE_KEY_ID": KEY_ID, "STORAGE_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def storage(server: str) -> Storage:
    return Storage(server, f"bucket-{next(_NUMBERS)}")


@pytest.fixture
def gate(server: str) -> Iterator[Gate]:
    with Gate(server) as found:
        yield found
