"""What the server is told, as plain values: its process starts in half the time without pydantic."""

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, convert

if TYPE_CHECKING:  # the job's types stand on pydantic, which takes longer to import than all of the server
    from batchroute.job.simulation import Simulation


class Latency(Struct, frozen=True):
    """Median and 95th percentile of the time until an answer begins, in seconds."""

    p50: float
    p95: float


class PerMillion(Struct, frozen=True):
    """USD per million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None


class Limits(Struct, frozen=True):
    """Requests and tokens per minute, and requests in flight; None means no limit."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class Window(Struct, frozen=True):
    """An outage: seconds since the server's start until it begins, and how many seconds it lasts."""

    after: float
    lasting: float


class ModelSettings(Struct, frozen=True):
    """One model, as `batchroute.job.simulation.SimulatedModel` describes it."""

    latency: Latency | None = None
    tokens_per_s: float | None = None
    price: PerMillion | None = None
    skill: dict[str, float] = {}
    errors: dict[str, float] = {}
    limits: Limits = Limits()
    outages: tuple[Window, ...] = ()
    prompt_cache: float | None = None
    """Seconds for which a prefix is known; None: none ever is."""

    def chance(self, task: str) -> float:
        """Probability of a right answer to this task."""
        return self.skill.get(task, self.skill.get("default", 1.0))


class Settings(Struct, frozen=True):
    """Everything the server is told; the same settings and requests give the same answers."""

    seed: int
    models: dict[str, ModelSettings]

    @classmethod
    def of(cls, simulation: "Simulation") -> "Settings":
        return convert(simulation.model_dump(), cls)
