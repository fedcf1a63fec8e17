"""What the simulator can carry. Run on demand: `pytest -m benchmark -n0 -s tests/providers/simulator`."""

import asyncio
from datetime import timedelta
from statistics import median
from time import perf_counter

import psutil
import pytest
from pyreqwest.client import Client, ClientBuilder

from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.process import simulated
from tests.providers.simulator.client import chat, simulation

pytestmark = pytest.mark.benchmark

REQUESTS = 40_000
CONNECTIONS = 64


async def test_it_starts_within_a_quarter_of_a_second_of_cpu() -> None:
    """On an idle machine that is also its time by the clock, which is printed."""
    times, cpu = [], []
    for _ in range(7):
        began = perf_counter()
        async with simulated(Simulation()):
            times.append(perf_counter() - began)
            (child,) = psutil.Process().children()
            cpu.append(cpu_seconds(child))

    print(f"\nstart: median {median(times):.3f} s, best {min(times):.3f} s; CPU {median(cpu):.3f} s")
    assert median(cpu) <= 0.25


async def test_one_core_answers_eight_thousand_requests_a_second() -> None:
    async with simulated(simulation(m={})) as url:
        (child,) = psutil.Process().children()
        before, began = cpu_seconds(child), perf_counter()
        await ask_all(f"{url}/chat/completions")
        elapsed, cpu = perf_counter() - began, cpu_seconds(child) - before

    print(f"\n{REQUESTS / elapsed:,.0f} requests/s; {REQUESTS / cpu:,.0f} per CPU second of the server")
    assert REQUESTS / cpu >= 8_000


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def ask_all(url: str) -> None:
    numbers = iter(range(REQUESTS))

    async def ask(client: Client) -> None:
        for number in numbers:
            body = chat("m", f"Explain how nightly job {number} of a warehouse can fail.", max_tokens=256)
            response = await client.post(url).body_bytes(body).build().send()
            assert response.status == 200
            await response.bytes()

    builder = ClientBuilder().timeout(timedelta(seconds=60)).max_connections(CONNECTIONS).no_proxy()
    async with builder.build() as client, asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(ask(client))
