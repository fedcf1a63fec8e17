"""Opening everything that a run needs, and running it."""

import asyncio
import datetime as dt
import hashlib
import resource
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl
from msgspec import structs

from batchroute.core.errors import BatchrouteError, BudgetError, JobError, OutputError
from batchroute.core.money import picodollars
from batchroute.engine.admission import Backlog, Window, shares
from batchroute.engine.beginnings import Beginning
from batchroute.engine.bundles import BundlingPool
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.comparisons import Comparison
from batchroute.engine.copying import Copying
from batchroute.engine.demands import Demands
from batchroute.engine.endings import Ended
from batchroute.engine.exports import Exporter
from batchroute.engine.feed import Feed
from batchroute.engine.forms import answer_forms, parsed_type
from batchroute.engine.gauges import Gauges
from batchroute.engine.halts import Halt
from batchroute.engine.lineups import Lineup
from batchroute.engine.notices import announced
from batchroute.engine.openings import (
    Opened,
    capped,
    check_bounded,
    check_priced,
    columns_named,
    job_warnings,
    model_context,
    model_rates,
    models_asked,
    opened,
    order,
    router,
    wishes,
)
from batchroute.engine.pipeline import Options, Pipeline, Watch
from batchroute.engine.pools import Pool, PoolSpec
from batchroute.engine.purses import Allotment, Purse
from batchroute.engine.restarts import begun, holds_runs, refuse_foreign, start_over
from batchroute.engine.sequels import Sequels
from batchroute.engine.shortcuts import Answering, Shortcuts
from batchroute.engine.signals import Ear
from batchroute.engine.stops import GRACE_S, Stops
from batchroute.engine.tally import Progress, Tally
from batchroute.engine.telling import telling
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins
from batchroute.io.audits import Damage, Finding, disagreements, part_findings, refuse, rewritten
from batchroute.io.files import STORE_NAME, TEMPORARY, check_room, clear_temporary
from batchroute.io.locks import locked
from batchroute.io.manifest import MANIFEST_NAME, Manifest, read_manifest
from batchroute.io.spools import Spool
from batchroute.io.store import Store
from batchroute.io.tables import VECTOR as VECTORS
from batchroute.io.tables import carried_text, carried_value, kept_types, packed_types
from batchroute.job.deadlines import moment
from batchroute.job.endpoints import VECTOR
from batchroute.job.jobs import Job, Route
from batchroute.job.moments import epoch
from batchroute.providers.connections import connected
from batchroute.providers.provider import Provider
from batchroute.routing.absences import Absences
from batchroute.routing.adapters import Adapter
from batchroute.routing.estimates import Estimator
from batchroute.routing.fingerprints import Fingerprints
from batchroute.routing.forms import Formed
from batchroute.routing.medians import Median
from batchroute.routing.routes import Router, RouteRule
from batchroute.routing.selections import Selection
from batchroute.routing.soundness import Soundness
from batchroute.routing.strategies import Strategy
from batchroute.routing.wishes import Wishes

FILES_BESIDE_SLOTS = 128
MOST_IN_BUNDLES = 16_384
"""Records of one model that are in motion at once where they share requests: each is a coroutine with its text."""

T = TypeVar("T")
Connect = Callable[[Job], AbstractAsyncContextManager[Mapping[str, Provider]]]


async def run(
    job: Job,
    options: Options = Options(),  # noqa: B008  frozen
    *,
    conclude: Callable[[Ended], T],
    sum_up: Callable[[Ended], object] = lambda _: None,
    clock: Clock | None = None,
    connect: Connect = connected,
    watch: Watch | None = None,
    ear: Ear | None = None,
) -> T:
    """Bring the job's output directory up to date with its input.

    Raises BatchrouteError for what prevents the run from starting, or damages its output; what stops it in
    between is told by how it ended. `sum_up` writes what else belongs to the output, `conclude` makes of the end what is
    returned: everything is closed then, but the directory still held. In between the output is copied, where it is to
    be. `watch` is called about twice a second; `ear` hears signals where this is not the main thread.
    """
    clock = clock or Clock()
    _open_files_for(job)
    with locked(job.output.path):
        async with announced(job, clock) as notices, telling(job, wanted=options.otel) as told:
            watches = [] if watch is None else [watch]
            if job.notify is not None:
                watches.append(notices.watch)
            with _measured(job, clock, watches) as measured:
                async with AsyncExitStack() as stack:
                    copying = await _copying(job, options, stack)
                    pipeline = await _assemble(job, options, clock, connect, stack)
                    pipeline.ear = ear or pipeline.ear
                    if told.of is not None:
                        pipeline.commits.on_commit(told.of)
                    if copying is not None:
                        pipeline.exported = copying.due
                    ended = await pipeline.run(_all(watches))
                sum_up(ended)
                if copying is not None:
                    within_s = _left_for_copies(pipeline.stops.due_at, clock)
                    ended = await copying.finished(ended, within_s=within_s)
                    _note(ended, pipeline.exporter)
                measured(ended.exit_code, pipeline.progress())
            told.hurried = ended.cut_off
            await notices.ended(ended)
            return conclude(ended)


async def _copying(job: Job, options: Options, stack: AsyncExitStack) -> Copying | None:
    """What copies the output, ready and allowed to; None where there is to be no copy."""
    if job.output.copy_to is None:
        return None
    copying = Copying(job, job.output.copy_to, fresh=_begins_anew(job, options))
    await copying.check()
    return stack.enter_context(copying)


def _begins_anew(job: Job, options: Options) -> bool:
    """Whether what earlier runs have written is to go, or was being removed when one of them was killed."""
    return options.fresh or begun(job.output.path)


def _left_for_copies(due_at: float | None, clock: Clock) -> float | None:
    """Seconds that the last copy may take: until the deadline, and the grace that follows whatever stops a run."""
    return None if due_at is None else max(due_at - clock.wall(), GRACE_S)


def _note(ended: Ended, exporter: Exporter) -> None:
    """Write into the manifest how the run has ended after all."""
    last_run = exporter.manifest.last_run
    if last_run is not None and last_run.exit_code != ended.exit_code:
        noted = structs.replace(last_run, exit_code=ended.exit_code)
        exporter.update(lambda manifest: structs.replace(manifest, last_run=noted))


@contextmanager
def _measured(job: Job, clock: Clock, watches: list[Watch]) -> Iterator[Callable[[int, Progress], None]]:
    """Keep the job's metrics up to date; gives what is to be called with how the run ended, if it does not break."""
    if job.output.metrics is None:
        yield lambda _code, _progress: None
        return
    gauges = Gauges(job.output.metrics, job.job, clock)
    watches.append(gauges.watch)
    try:
        yield gauges.close
    except Exception as error:
        gauges.close(error.exit_code if isinstance(error, BatchrouteError) else 1)
        raise


def _all(watches: list[Watch]) -> Watch | None:
    """One that tells all of them; None when there is nobody to tell."""

    def tell(progress: Progress) -> None:
        for watch in watches:
            watch(progress)

    return tell if watches else None


def _open_files_for(job: Job) -> None:
    """Raise this process's limit of open files to what the slots need. Raises JobError where it cannot be."""
    slots = sum(model.limits.concurrency for model in job.models.values())
    needed = slots + slots // 4 + FILES_BESIDE_SLOTS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise JobError(
            f"{slots} slots need {needed} open files, and this process may have {hard}. "
            f"Allow more with `ulimit -n {needed}`, or lower models.*.limits.concurrency. [nofile_too_low]"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a run is to do, read and found right; nothing is written yet."""

    job: Job
    options: Options
    clock: Clock
    selection: Selection
    opened: Opened
    due_at: float | None
    kept: dict[str, pl.DataType]
    wishes: Wishes | None
    demands: Demands

    @classmethod
    def of(cls, job: Job, options: Options, clock: Clock) -> "_Asked":
        """Cheapest refusals first. Raises BatchrouteError."""
        refuse_foreign(job)
        selection = Selection.of(options.only, job)
        since = None if options.since is None else epoch(options.since, clock.wall())
        found = opened(job, since=since, spool=job.output.path / TEMPORARY)
        due_at = _due_at(job, options, clock)
        today = dt.datetime.fromtimestamp(clock.wall(), dt.UTC).date()
        check_bounded(job, today)
        check_priced(job, today)
        kept = {**parsed_type(job), **kept_types(job.output.keep, found.source.schema)}
        if job.vectors is not None:
            kept[VECTOR] = VECTORS
        return cls(job, options, clock, selection, found, due_at, kept, wishes(job, today), Demands.of(job))


async def _assemble(
    job: Job, options: Options, clock: Clock, connect: Connect, stack: AsyncExitStack
) -> Pipeline:
    """Open everything that a run needs; the stack closes it."""
    asked = _Asked.of(job, options, clock)
    providers = await stack.enter_async_context(connect(job))
    if _begins_anew(job, options):  # only now: a job that is refused removes nothing
        await _start_over(asked)
    exporter = await _own_output(asked, stack)
    return _pipeline(asked, providers, exporter, stack)


async def _start_over(asked: _Asked) -> None:
    job = asked.job
    if holds_runs(job.output.path):
        beginning = Beginning(
            asked.opened,
            router(job),
            asked.selection,
            max_bad=job.input.max_bad,
            limit=asked.options.limit,
            wishes=asked.wishes,
        )
        await beginning.refuse_if_mostly_bad()
    start_over(job.output.path)


async def _own_output(asked: _Asked, stack: AsyncExitStack) -> Exporter:
    """The output directory, found to be what it was. Raises OutputError."""
    job, directory = asked.job, asked.job.output.path
    manifest = _own_manifest(job)
    check_room(directory)
    verifying = asyncio.get_running_loop().run_in_executor(None, part_findings, directory, manifest)
    store = _own_store(job, manifest)
    stack.callback(store.close)
    clear_temporary(directory)
    await _verify(directory, manifest, store, verifying)
    store.describe(job=manifest.job, fingerprint=manifest.fingerprint, kept=packed_types(asked.kept))
    return Exporter(directory=directory, store=store, kept=asked.kept, manifest=manifest)


def _pipeline(
    asked: _Asked, providers: Mapping[str, Provider], exporter: Exporter, stack: AsyncExitStack
) -> Pipeline:
    job, clock, store, halt, tally = asked.job, asked.clock, exporter.store, Halt(), Tally()
    pools = open_pools(job, models_asked(job), providers, clock, halt)
    run_id = _run_id(clock)
    commits = Commits(store)
    rules = router(job)
    adapters = {name: pool.spec.adapter for name, pool in pools.items() if pool.spec.adapter is not None}
    wished = asked.wishes
    together = 1 if job.vectors is None else job.vectors.batch
    all_rules = [*rules.rules, *(wished.rules if wished else ())]
    heads = _heads(pools, all_rules, together=together)
    parts = shares(heads, job.window, pictured=bool(job.prompt.images))
    window = Window(parts)
    backlog = Backlog({model: _spool(exporter.directory, model) for model in heads}, window)
    stack.callback(backlog.close)
    stops = Stops(
        halt=halt,
        pools=pools,
        tally=tally,
        window=window,
        clock=clock,
        directory=exporter.directory,
        max_wait_s=asked.options.max_wait_s,
        due_at=asked.due_at,
    )
    demands, formed = asked.demands, answer_forms(job)
    cache = _cache(asked, pools, all_rules, formed)
    if cache is not None:
        stack.callback(cache.close)
    answering = Answering(run_id, pools, clock, commits, labelled=bool(job.labelling()))
    twins = None
    if job.dedupe is not False:
        twins = Twins(
            directory=exporter.directory,
            store=store,
            entered=commits.pending,
            give=answering.repeat,
            forms=formed,
            vectors=job.vectors is not None,
        )
    shortcuts = None if twins is None and cache is None else Shortcuts(twins, cache, answering)
    prompts, classifier, source = asked.opened
    return Pipeline(
        run_id=run_id,
        options=asked.options,
        clock=clock,
        source=source,
        store=store,
        exporter=exporter,
        pools=pools,
        halt=halt,
        commits=commits,
        tally=tally,
        window=window,
        backlog=backlog,
        feed=_feed(
            asked, run_id, store, commits, backlog, tally, rules, adapters, shortcuts, max(parts.values())
        ),
        purse=Purse(allotment(job), lambda what: halt.stop(_used_up(what))),
        stops=stops,
        lineups=_lineups({**job.routes, **(wished.routes if wished else {})}, pools),
        demands=demands,
        forms=formed,
        twins=twins,
        cache=cache,
        warnings=(*source.warnings, *job_warnings(prompts, classifier, job), *_warnings(pools, job)),
    )


def _feed(
    asked: _Asked,
    run_id: str,
    store: Store,
    commits: Commits,
    backlog: Backlog,
    tally: Tally,
    rules: Router,
    adapters: Mapping[str, Adapter],
    shortcuts: Shortcuts | None,
    apart: int,
) -> Feed:
    job = asked.job
    prompts, classifier, source = asked.opened
    refresh = asked.options.refresh_changed
    return Feed(
        run_id=run_id,
        store=store,
        commits=commits,
        classifier=classifier,
        prompts=prompts,
        router=rules,
        backlog=backlog,
        clock=asked.clock,
        tally=tally,
        keep=job.output.keep,
        carry=carried_text if source.schema is None else carried_value,
        retry_failed=asked.options.retry_failed,
        soundness=Soundness(bound=job.input.max_bad),
        selection=asked.selection,
        fingerprints=Fingerprints(
            {name: job.known_as(name) for name in job.models}, adapters, dedupe=job.dedupe
        ),
        comparison=Comparison.of(job.fingerprint(), source.files, store, job.output.path, refresh=refresh),
        wishes=asked.wishes,
        shortcuts=shortcuts,
        sequels=Sequels(prompts, apart),
        absences=Absences(columns_named(job)),
    )


def _cache(
    asked: _Asked, pools: Mapping[str, Pool], rules: Sequence[RouteRule], forms: Mapping[str, Formed]
) -> Cache | None:
    job = asked.job
    if job.cache is None:
        return None
    return Cache(
        job.cache,
        pools=pools,
        rules=rules,
        forms=forms,
        checks=asked.demands.checks,
        known_as=job.known_as,
        clock=asked.clock,
        reads=asked.options.use_cache,
        outlasting=any(each.cache for each in asked.demands.last_resorts.values()),
    )


def allotment(job: Job) -> Allotment:
    """What the job may spend."""
    budget = job.budget
    if budget is None:
        return Allotment()
    total, run, record = (
        None if amount is None else picodollars(amount)
        for amount in (budget.usd, budget.per_run_usd, budget.per_record_usd)
    )
    return Allotment(
        total=total,
        run=run,
        record=record,
        routes={route: picodollars(amount) for route, amount in budget.per_route.items()},
    )


def _used_up(what: str) -> BudgetError:
    return BudgetError(f"no further request fits {what}; raise it, and the same command goes on")


def _due_at(job: Job, options: Options, clock: Clock) -> float | None:
    """When the run has to be done, seconds since the epoch. Raises JobError for a moment that has passed."""
    now = clock.wall()
    times = [moment(job.deadline, now)] if job.deadline is not None else []
    if times and times[0] <= now:
        raise JobError(
            f"deadline {job.deadline} has passed. Name a later one, or a time of day [job_duration]"
        )
    if options.max_duration_s is not None:
        times.append(now + options.max_duration_s)
    return min(times, default=None)


def _heads(pools: Mapping[str, Pool], rules: Sequence[RouteRule], *, together: int) -> dict[str, int]:
    """The models that routes begin with, in the job's order, and the most slots that any model of theirs has, each
    for so many records together: a
    model that takes over for a smaller one is to be used to the full. So are models that stand for one another,
    together; and where models are declared not to take every record, any of them may be the first that can.
    """
    heads: dict[str, int] = {}
    for rule in rules:
        groups = rule.groups or tuple((model,) for model in rule.models)
        slots = max(sum(pools[model].spec.concurrency for model in group) for group in groups)
        for head in rule.models if rule.spread else rule.models[:1]:
            heads[head] = max(min(slots * together, max(slots, MOST_IN_BUNDLES)), heads.get(head, 0))
    return heads


def _lineups(routes: Mapping[str, Route], pools: Mapping[str, Pool]) -> dict[str, Lineup]:
    """Of the routes that choose; the models among which one goes by their speed are timed from now on."""
    lineups: dict[str, Lineup] = {}
    for name, route in routes.items():
        choice = order(route)
        if choice is None:
            continue
        bound = None if route.max_cost is None else picodollars(route.max_cost)
        lineups[name] = Lineup(order=choice, pools=pools, max_cost=bound)
        if choice.strategy is Strategy.CHEAPEST or bound is not None:
            for model in route.models:
                pools[model].estimator = pools[model].estimator or Estimator()
        if choice.strategy is Strategy.FASTEST:
            for model in route.models:
                pools[model].median = pools[model].median or Median()
    return lineups


def _warnings(pools: Mapping[str, Pool], job: Job) -> list[str]:
    warnings = [
        f"no price is known for {name}: its cost is null. Declare models.{name}.price to have it counted."
        for name, pool in pools.items()
        if pool.spec.rates is None
    ]
    warnings += _shared_limits(pools)
    warnings += [
        f"{name}: hedge has no effect without a limit of the output: declare prompt.params.max_tokens, "
        "or what a second request costs would be unknown."
        for name, pool in pools.items()
        if pool.spec.hedged and pool.spec.rates is not None and not (job.prompt.body or capped(job, name))
    ]
    return warnings


def _shared_limits(pools: Mapping[str, Pool]) -> list[str]:
    """Models that are one to their provider: each of them is paced as if it were alone."""
    first: dict[tuple[str, str], str] = {}
    warnings = []
    for name, pool in pools.items():
        other = first.setdefault((pool.spec.provider, pool.spec.request_model), name)
        if other != name:
            warnings.append(
                f"models {other} and {name} are both {pool.spec.request_model} of {pool.spec.provider}: "
                "the provider counts them together, so that their limits should add up to its own."
            )
    return warnings


def open_pools(
    job: Job, models: Collection[str], providers: Mapping[str, Provider], clock: Clock, halt: Halt
) -> dict[str, Pool]:
    """The pools of these declared models, in the job's order."""
    on = dt.datetime.fromtimestamp(clock.wall(), dt.UTC).date()
    return {
        name: _pool(job, _pool_spec(name, job, on), providers[model.provider], clock, halt)
        for name, model in job.models.items()
        if name in models
    }


def _pool(job: Job, spec: PoolSpec, provider: Provider, clock: Clock, halt: Halt) -> Pool:
    if job.vectors is None or job.vectors.batch == 1:
        return Pool(spec, provider, clock, halt.change)
    return BundlingPool(spec, provider, clock, halt.change, batch=job.vectors.batch)


def _pool_spec(name: str, job: Job, on: dt.date) -> PoolSpec:
    model = job.models[name]
    return PoolSpec(
        model=name,
        provider=model.provider,
        request_model=job.provider_model(name),
        concurrency=model.limits.concurrency,
        rpm=model.limits.rpm,
        tpm=model.limits.tpm,
        timeout_s=model.timeout,
        hedged=model.hedge,
        context=model_context(job, name),
        rates=model_rates(job, name, on),
        adapter=Adapter.of(job.adaptation(name)),
    )


def _own_manifest(job: Job) -> Manifest:
    """The directory's manifest, or a new one. Raises OutputError for a damaged one."""
    manifest = read_manifest(job.output.path) or Manifest(job=job.job, fingerprint=job.fingerprint())
    return structs.replace(manifest, fingerprint=job.fingerprint())


def _own_store(job: Job, manifest: Manifest) -> Store:
    """The directory's state, or a new one. Raises OutputError where one of the two is gone.

    To go on without its state would pay for everything again.
    """
    directory = job.output.path
    begun = manifest.last_run is not None or manifest.ledger
    if begun and not (directory / STORE_NAME).exists():
        raise _gone(directory, STORE_NAME, Damage.STATE_MISSING)
    store = Store(directory)
    if store.meta("exported") and not (directory / MANIFEST_NAME).exists():
        store.close()
        raise _gone(directory, MANIFEST_NAME, Damage.MANIFEST_MISSING)
    return store


def _gone(directory: Path, name: str, damage: Damage) -> OutputError:
    mended = (
        f"`batchroute verify {directory} --repair` writes it anew" if name == MANIFEST_NAME else "Put it back"
    )
    return OutputError(
        f"{directory}: {name} is missing, though there are parts of earlier runs ({damage}). "
        f"{mended}, or start over with --fresh.",
        code=damage,
    )


async def _verify(
    directory: Path, manifest: Manifest, store: Store, of_parts: Awaitable[list[Finding]]
) -> None:
    """Refuse an output that is not what it was. Raises OutputError; what the state still holds is written again."""
    again = rewritten(store)
    damaged = [finding for finding in await of_parts if finding.path not in again]
    refuse(directory, [*damaged, *disagreements(directory, manifest, store)])
    store.adopt([part for part in manifest.parts() if part.path not in again])


_encode_spooled = msgspec.msgpack.Encoder().encode
_decode_spooled = msgspec.msgpack.Decoder(list[Admitted]).decode


def _spool(directory: Path, model: str) -> Spool[Admitted]:
    name = hashlib.sha256(model.encode()).hexdigest()[:16]
    return Spool(
        directory / TEMPORARY / f"spool-{name}",
        encode=_encode_spooled,
        decode=_decode_spooled,
        size=lambda record: len(record.request.messages),
    )


def _run_id(clock: Clock) -> str:
    """Sorts by time, and is unique among runs that start in the same second."""
    started = dt.datetime.fromtimestamp(clock.wall(), dt.UTC)
    return f"{started:%Y%m%dT%H%M%S}-{clock.random.getrandbits(24):06x}"
