"""What failures that are nobody's illness do to the pools: pauses, and models that are out for the run."""

from collections.abc import Mapping

from batchroute.core.responses import Failure
from batchroute.engine.pools import OUTAGE_OF_OURS_S, PAUSE_OF_OURS_S, Pool, Slot
from batchroute.routing.verdicts import Effect, pause_wished


def suffer(pools: Mapping[str, Pool], pool: Pool, slot: Slot, failure: Failure, effect: Effect) -> None:
    """Let the pools feel a failure of one of them, `pool`, that says more of limits or accounts than of health."""
    match effect:
        case Effect.PAUSE:
            pool.refused(slot, pause_wished(failure))
        case Effect.PAUSE_ALL:
            for each in pools.values():
                each.acquit(PAUSE_OF_OURS_S.get(failure.error_type, OUTAGE_OF_OURS_S))
        case Effect.DISABLE_MODEL:
            pool.disable(failure.message)
        case Effect.DISABLE_PROVIDER:
            for other in pools.values():
                if other.spec.provider == pool.spec.provider:
                    other.disable(failure.message)
