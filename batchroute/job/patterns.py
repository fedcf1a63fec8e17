"""Regular expressions that cannot take long: Rust's, which match in time linear in the text."""

from collections.abc import Callable
from functools import lru_cache

from pydantic_core import SchemaValidator, core_schema


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is found in a text; case-insensitive unless it says `(?-i)`.

    The engine is the one that pydantic brings, which refuses what could only be matched by backtracking, and what would
    compile to more than 10 MiB. Raises pydantic_core.SchemaError.
    """
    found = SchemaValidator(
        core_schema.str_schema(pattern=f"(?i){pattern}", regex_engine="rust-regex", strict=True)
    )
    return found.isinstance_python
