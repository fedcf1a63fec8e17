"""How many examples the laws are tried on.

The same ones each time, so that a failure is there for everybody; LAWS=20 in the environment tries twenty
times as many, which are new ones each time. A failing example is kept by hypothesis and tried first, and can
be replayed from the line that is printed with it.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
"""Where the runs of an example are written, if not among temporary files: a sync takes no time there."""
SCALE = int(os.environ.get("LAWS", "1"))


def examples(count: int) -> settings:
    """Settings of a law, for so many examples by default."""
    return settings(
        max_examples=count * SCALE,
        derandomize=SCALE == 1,
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
