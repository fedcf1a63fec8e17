"""Asking classifying models without a run: what they say and cost, and nothing of it kept."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from batchroute.core.attempts import Attempt
from batchroute.core.results import Result
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.halts import Halt
from batchroute.engine.inquiries import Inquiries
from batchroute.engine.journey import Journey
from batchroute.engine.judgements import Judgements
from batchroute.engine.network import Network
from batchroute.engine.openings import check_bounded
from batchroute.engine.pools import Pool
from batchroute.engine.purses import Purse
from batchroute.engine.requests import Requests
from batchroute.engine.runs import Connect, allotment, open_pools
from batchroute.io.store import Store
from batchroute.job.jobs import Job
from batchroute.providers.connections import connected
from batchroute.routing.classifiers import Classifier


@asynccontextmanager
async def on_trial(
    job: Job, classifier: Classifier, clock: Clock, connect: Connect = connected
) -> AsyncIterator[Inquiries | None]:
    """The stages of a job that ask a model, at work within its limits and its budget; None without any.

    A budget is taken as if nothing had been spent yet. Raises what `connected` raises, and JobError for a budget that
    cannot be kept.
    """
    if not classifier.labellers:
        yield None
        return
    check_bounded(job, dt.datetime.fromtimestamp(clock.wall(), dt.UTC).date())
    async with AsyncExitStack() as stack:
        providers = await stack.enter_async_context(connect(job))
        store = Store(Path(stack.enter_context(TemporaryDirectory(prefix="batchroute-"))))
        stack.callback(store.close)
        halt = Halt()
        pools = open_pools(job, job.labelling(), providers, clock, halt)
        purse = Purse(allotment(job), lambda _: None)

        def committed(attempt: Attempt | None, _: Result | None) -> None:
            if attempt is not None and attempt.cost:
                purse.spend(attempt.route, attempt.cost)

        requests = Requests(
            run_id="trial",
            network=Network({pool.spec.provider for pool in pools.values()}),
            commits=Commits(store),
            halt=halt,
            clock=clock,
            purse=purse,
            committed=committed,
        )
        judgements = Judgements(pools=pools, requests=requests, halt=halt, clock=clock, purse=purse)
        journey = Journey(
            pools=pools,
            requests=requests,
            halt=halt,
            clock=clock,
            purse=purse,
            lineups={},
            judgements=judgements,
        )
        async with _paced(pools):
            yield Inquiries.of(classifier, journey, pools, store)


@asynccontextmanager
async def _paced(pools: Mapping[str, Pool]) -> AsyncIterator[None]:
    """Let pools be paced beside the body; what that raises comes out as it is."""
    raised: Exception | None = None
    async with asyncio.TaskGroup() as pacers:
        pacing = [pacers.create_task(pool.pace()) for pool in pools.values()]
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised below: a group would wrap it
            raised = error
        finally:
            for task in pacing:
                task.cancel()
    if raised is not None:
        raise raised
