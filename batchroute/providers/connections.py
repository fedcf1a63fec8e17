"""All providers of a job, open for the length of a run; simulated ones are started and ended with it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from batchroute.job.jobs import Job
from batchroute.providers.connect import HttpProvider, connect
from batchroute.providers.simulator.process import simulated


@asynccontextmanager
async def connected(job: Job) -> AsyncIterator[Mapping[str, HttpProvider]]:
    """Every provider that a model of the job names, by name. Raises what `connect` and `simulated` raise."""
    async with AsyncExitStack() as stack:
        providers = {}
        for name in dict.fromkeys(model.provider for model in job.models.values()):
            spec = job.providers[name]
            base_url = None
            if spec.simulation is not None:
                base_url = await stack.enter_async_context(simulated(spec.simulation))
            providers[name] = connect(spec, name=name, connections=_slots(job, name), base_url=base_url)
            stack.push_async_callback(providers[name].close)
        yield providers


def _slots(job: Job, provider: str) -> int:
    return sum(model.limits.concurrency for model in job.models.values() if model.provider == provider)
