"""The speed limit: POSTs a second of pyreqwest and msgspec, or of our own wire, with nothing around them.

`python -m tests.benchmarks.bare_loop URL REQUESTS IN_FLIGHT CLIENT` prints one JSON object.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import msgspec
import uvloop
from pyreqwest.client import ClientBuilder

from batchroute.providers.accounts import Account
from batchroute.providers.wire import Wire
from tests.benchmarks.stand_ins import MODEL
from tests.benchmarks.workloads import texts

Post: TypeAlias = Callable[[bytes], Awaitable[bytes]]
Client: TypeAlias = Callable[[str, int], AbstractAsyncContextManager[Post]]


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class Completion(msgspec.Struct):
    usage: Usage


class Pace(msgspec.Struct, frozen=True):
    """How fast the loop went."""

    requests_per_s: float
    cpu_us_per_request: float


@asynccontextmanager
async def pyreqwest(url: str, in_flight: int) -> AsyncIterator[Post]:
    """The fastest client library that we know."""
    address = f"{url}/chat/completions"
    builder = ClientBuilder().default_headers(
        {"Content-Type": "application/json", "Authorization": "Bearer x"}
    )
    async with builder.max_connections(in_flight).build() as client:

        async def post(body: bytes) -> bytes:
            response = await client.post(address).body_bytes(body).build().send()
            return bytes(await response.bytes())

        yield post


@asynccontextmanager
async def wire(url: str, in_flight: int) -> AsyncIterator[Post]:
    """What a run sends with."""
    transport = Wire(Account(name="bare", base_url=url, connections=in_flight, api_key="x"))

    async def post(body: bytes) -> bytes:
        return (await transport.post(body, timeout_s=60.0)).body

    yield post
    await transport.close()


CLIENTS: dict[str, Client] = {"pyreqwest": pyreqwest, "wire": wire}


async def loop(client: Client, url: str, requests: int, in_flight: int) -> Pace:
    """Send that many small chat requests, each encoded anew and each answer's usage decoded."""
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Completion).decode
    some, numbers = texts(), iter(range(requests))

    async with client(url, in_flight) as post:

        async def send(numbers: Iterator[int]) -> None:
            for number in numbers:
                message = {"role": "user", "content": some[number % len(some)]}
                decode(await post(encode({"model": MODEL, "messages": [message], "max_tokens": 64})))

        await send(iter(range(1)))
        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as senders:
            for _ in range(in_flight):
                senders.create_task(send(numbers))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Pace(requests_per_s=requests / wall, cpu_us_per_request=cpu / requests * 1e6)


def main() -> None:
    url, requests, in_flight, client = sys.argv[1:]
    pace = uvloop.run(loop(CLIENTS[client], url, int(requests), int(in_flight)))
    print(msgspec.json.encode(pace).decode())


if __name__ == "__main__":
    main()
