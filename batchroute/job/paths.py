"""Where a job comes from, and paths that are relative to it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationInfo, WithJsonSchema

from batchroute.job.storage import SCHEME, object_url


@dataclass(frozen=True, slots=True)
class Origin:
    """The job file; given to validation, so that relative paths find their folder."""

    path: Path
    warnings: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Where the texts of the prompt stand, by dotted key."""

    def absolute(self, path: str) -> str:
        """The path as seen from the folder of the job file."""
        return os.path.normpath(self.path.parent.resolve() / path)


def _absolute(path: str, info: ValidationInfo) -> str:
    if "://" in path:
        raise ValueError("must be a path on this machine. Bring the files here first")
    if path.startswith("~"):
        raise ValueError("must not begin with ~, which is not expanded. Write ${HOME} instead")
    if "\0" in path:
        raise ValueError("must not hold a NUL character. Remove it")
    return info.context.absolute(path) if isinstance(info.context, Origin) else path


def _absolute_or_object(path: str, info: ValidationInfo) -> str:
    if path.startswith(SCHEME):
        return object_url(path)
    if "://" in path:
        raise ValueError("must be a path on this machine or s3://bucket/key. Bring the files here first")
    return _absolute(path, info)


def _path(value: Any, info: ValidationInfo) -> Any:
    return Path(_absolute(value, info)) if isinstance(value, str) and value else value


PathText: TypeAlias = Annotated[str, StringConstraints(min_length=1), AfterValidator(_absolute_or_object)]
"""A path or a glob as text, absolute in a loaded job; or one in object storage, `s3://bucket/key`."""

LocalPath: TypeAlias = Annotated[
    Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})
]
"""A path; absolute in a loaded job."""
