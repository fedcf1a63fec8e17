"""Functions of a job's own, imported from the files beside it."""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from batchroute.core.errors import JobError
from batchroute.job.functions import FunctionName


def import_function(text: str, folder: Path) -> Callable[..., Any]:
    """The function that `module:function` names, from the file beside the job file: never from a package of that name.

    What the module imports is looked for in `folder` last. Raises JobError for what cannot be imported or called.
    """
    name = FunctionName.of(text)
    function = getattr(_module(name.module, name.file(folder), folder), name.function, None)
    if not callable(function):
        raise JobError(
            f"python:{text} is not a function of {name.file(folder)}. Define it there [job_function]"
        )
    found: Callable[..., Any] = function
    return found


def _module(module: str, file: Path, folder: Path) -> ModuleType:
    """Under a name with its place, so that jobs of two folders may have a module of the same name."""
    known_as = f"{module}@{file}"
    spec = spec_from_file_location(known_as, file)
    if spec is None or spec.loader is None:
        raise JobError(f"python:{module} is no module: {file}. Put it beside the job file [job_function]")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    loaded = sys.modules[known_as] = module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit included
        del sys.modules[known_as]
        raise JobError(
            f"python:{module} cannot be imported from {file}: {type(error).__name__}: {error} [job_function]"
        ) from error
    return loaded
