"""Whether it is our own line that is down, which is no provider's fault."""

from collections.abc import Iterable

from msgspec.structs import replace

from batchroute.core.responses import ErrorType, Failure, Outcome

ENOUGH = 3
"""Connections in a row that failed with every provider, before our own line is suspected."""

UNREACHED = frozenset(
    {
        ErrorType.DNS_FAILURE,
        ErrorType.DNS_TIMEOUT,
        ErrorType.CONNECT_REFUSED,
        ErrorType.CONNECT_TIMEOUT,
        ErrorType.NETWORK_UNREACHABLE,
    }
)


class Network:
    """Compares how the providers of a run are reached. With one alone nobody can tell whose fault it is."""

    def __init__(self, providers: Iterable[str]) -> None:
        self._lost = dict.fromkeys(providers, 0)
        self.doubtful = False
        """Whether any connection failed that was not followed by one that did not; answers change nothing else."""

    def judge(self, provider: str, outcome: Outcome) -> Outcome:
        """The outcome as it is, or named LOCAL_NETWORK_DOWN when no provider can be reached."""
        if isinstance(outcome, Failure) and outcome.error_type in UNREACHED:
            self._lost[provider] += 1
            self.doubtful = True
            if len(self._lost) > 1 and min(self._lost.values()) >= ENOUGH:
                return replace(outcome, error_type=ErrorType.LOCAL_NETWORK_DOWN)
        elif self._lost[provider]:
            self._lost[provider] = 0
            self.doubtful = any(self._lost.values())
        return outcome
