"""The speed limit: POSTs a second of pyreqwest and msgspec with nothing around them.

`python -m tests.benchmarks.bare_loop URL REQUESTS IN_FLIGHT` prints one JSON object.
"""

import asyncio
import sys
import time
from collections.abc import Iterator

import msgspec
import uvloop
from pyreqwest.client import ClientBuilder

from tests.benchmarks.stand_ins import MODEL
from tests.benchmarks.workloads import texts


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class Completion(msgspec.Struct):
    usage: Usage


class Pace(msgspec.Struct, frozen=True):
    """How fast the loop went."""

    requests_per_s: float
    cpu_us_per_request: float


async def loop(url: str, requests: int, in_flight: int) -> Pace:
    """Send that many small chat requests, each encoded anew and each answer's usage decoded."""
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Completion).decode
    address, some = f"{url}/chat/completions", texts()
    numbers = iter(range(requests))
    builder = ClientBuilder().default_headers(
        {"Content-Type": "application/json", "Authorization": "Bearer x"}
    )

    async with builder.max_connections(in_flight).build() as client:

        async def send(numbers: Iterator[int]) -> None:
            for number in numbers:
                message = {"role": "user", "content": some[number % len(some)]}
                body = encode({"model": MODEL, "messages": [message], "max_tokens": 64})
                response = await client.post(address).body_bytes(body).build().send()
                decode(await response.bytes())

        await send(iter(range(1)))
        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as senders:
            for _ in range(in_flight):
                senders.create_task(send(numbers))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Pace(requests_per_s=requests / wall, cpu_us_per_request=cpu / requests * 1e6)


def main() -> None:
    url, requests, in_flight = sys.argv[1:]
    pace = uvloop.run(loop(url, int(requests), int(in_flight)))
    print(msgspec.json.encode(pace).decode())


if __name__ == "__main__":
    main()
