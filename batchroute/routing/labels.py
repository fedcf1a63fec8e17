"""Which of some labels a model means, with whatever it writes around it."""

from collections import Counter
from collections.abc import Sequence

from batchroute.job.forms import read_alike


class Labels:
    """Labels that are told apart whatever their case and blanks. `around` are the characters that may surround one.

    A character that a label of the job begins or ends with is no decoration there: of `A` and `A*` each is meant by
    itself alone.
    """

    def __init__(self, labels: Sequence[str], around: str) -> None:
        self._around = around
        self._own = {read_alike(label): label for label in labels}
        ends = {end for label in self._own for end in (label[:1], label[-1:])}
        self._never_own = "".join(mark for mark in around if mark.isspace() or mark not in ends)
        bare = {label: read_alike(label.strip(around)) for label in labels}
        times = Counter(bare.values())
        self._bare = {short: label for label, short in bare.items() if short and times[short] == 1}

    def meant(self, said: str) -> str | None:
        """The label that is said; None for none of them, and where it could be several."""
        return (
            self._own.get(read_alike(said))
            or self._own.get(read_alike(said.strip(self._never_own)))
            or self._bare.get(read_alike(said.strip(self._around)))
        )
