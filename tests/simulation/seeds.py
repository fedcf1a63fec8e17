"""Living through histories one by one."""

from collections.abc import Callable, Iterable


def each(seeds: Iterable[int], live: Callable[[int], object]) -> None:
    """Live through each history; what fails names its seed and how to see it again."""
    for seed in seeds:
        try:
            live(seed)
        except BaseException as error:
            module = live.__module__.replace(".", "/")
            error.add_note(f"seed {seed}; again: pytest {module}.py --seed {seed}")
            raise
