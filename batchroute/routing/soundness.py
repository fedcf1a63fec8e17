"""Whether an input is worth paying for: how much of what was read of it can be sent at all."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

ENOUGH = 100
"""Places after which an input can be judged; nothing is sent before, unless it has no more."""
SUSPICIOUS = 0.01
_SHOWN = 3


@dataclass(kw_only=True)
class Soundness:
    """What became of the places read so far. `bad` counts those that gave no request, by error type.

    `bound` is the share of bad ones, 0 to 1, up to which a run goes on; at 1 it goes on whatever comes.
    """

    bound: float
    read: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    _bad_from_start: int = 0
    _good: bool = False
    _first: list[str] = field(default_factory=list)

    def note(self, read: int, bad: Iterable[tuple[int, str, str]], first_good: int | None) -> None:
        """Add consecutive places: the bad ones as (line, error type, message), and the first line that is good."""
        ordered = sorted(bad)
        self.read += read
        self.bad.update(error_type for _, error_type, _ in ordered)
        self._first += [message for _, _, message in ordered[: _SHOWN - len(self._first)]]
        if not self._good:
            self._bad_from_start += sum(first_good is None or line < first_good for line, _, _ in ordered)
            self._good = first_good is not None

    @property
    def known(self) -> bool:
        """Whether enough was read to judge."""
        return self.read >= ENOUGH

    def unusable(self) -> str | None:
        """Why the run must stop, or None; to be asked once enough was read, or all of it."""
        count = self.bad.total()
        if self.bound >= 1 or not count:
            return None
        if self._bad_from_start >= ENOUGH:
            return self._told(f"the first {self._bad_from_start:,} records cannot be sent")
        if count > self.bound * self.read:
            return self._told(f"{count:,} of the first {self.read:,} records cannot be sent")
        return None

    def remark(self) -> str | None:
        """A sentence where more is bad than happens by chance."""
        count = self.bad.total()
        if count <= SUSPICIOUS * self.read:
            return None
        return f"{count:,} of {self.read:,} records ({count / self.read:.1%}) cannot be sent: {self._kinds()}"

    def _told(self, what: str) -> str:
        examples = "".join(f"\n  {message}" for message in self._first)
        return (
            f"{what}: {self._kinds()}. Mend the input, or set input.max_bad to the share of bad records that "
            f"may be, 1 for any.{examples}"
        )

    def _kinds(self) -> str:
        return ", ".join(f"{error_type} {count:,}" for error_type, count in self.bad.most_common())
