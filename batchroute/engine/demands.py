"""What the routes of a job demand of answers, and what their records get without one."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from batchroute.io.functions import import_function
from batchroute.job.jobs import Job, Route
from batchroute.job.last_resorts import LastResort
from batchroute.routing.checks import Checks


class Demands(NamedTuple):
    """By route, only of those that have any."""

    checks: Mapping[str, Checks]
    last_resorts: Mapping[str, LastResort]

    @classmethod
    def of(cls, job: Job) -> "Demands":
        """Raise JobError for a function of the job's own that cannot be imported."""
        checked = {name: route for name, route in job.routes.items() if route.checks}
        return cls(
            checks={name: _checks(route, job) for name, route in checked.items()},
            last_resorts={name: route.last_resort for name, route in job.routes.items() if route.last_resort},
        )


def demanded(job: Job, route: str) -> str:
    """What a route demands of answers, as a fingerprint takes it: an answer that was held against something else is no
    longer the one that is wanted. Empty where it demands nothing. In which order is no matter, nor what a judge is called
    in the job. Of a function its name counts and not what its file says, or each new comment would cost all answers.
    """
    told = [check.model_dump(mode="json", exclude_none=True) for check in job.routes[route].checks]
    for check in told:
        if "judge" in check:
            check["judge"]["model"] = job.known_as(check["judge"]["model"])
    return f"checks {sorted(json.dumps(check, sort_keys=True) for check in told)}" if told else ""


def judges(job: Job) -> tuple[str, ...]:
    """The models that some route has for a judge, in the order in which they are named first."""
    named = (check.judge.model for route in job.routes.values() for check in route.checks if check.judge)
    return tuple(dict.fromkeys(named))


def _checks(route: Route, job: Job) -> Checks:
    functions = {
        check.python: import_function(check.python, job.directory) for check in route.checks if check.python
    }
    return Checks(route.checks, functions, keep_best=route.keep_best)
