"""Telling OpenTelemetry of the attempts of a run, beside it: nothing waits for that, and nothing depends on it."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from batchroute.core.conventions import Place, Subject
from batchroute.io.store import Group
from batchroute.job.jobs import Job, Provider
from batchroute.job.presets import preset_of
from batchroute.providers.telemetry.process import Telemetry

LOG: Final = logging.getLogger("batchroute")
_CALLED: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
"""Presets that the conventions know by another name (`gen_ai.provider.name`, as of 2026-11)."""


class Telling:
    """What a run tells of the attempts of every group that is committed; `of` is None where nobody wants to know."""

    def __init__(self, telemetry: Telemetry | None) -> None:
        self.of: Callable[[Group], None] | None = (
            None if telemetry is None else lambda group: telemetry.tell(group.ended)
        )
        self.hurried = False
        """Whether who started the run has no time to wait for an export."""


@asynccontextmanager
async def telling(job: Job, *, wanted: bool) -> AsyncIterator[Telling]:
    """Export what is told in the block; its end waits as long as that is being taken. Raises JobError without the extra."""
    telemetry = await _started(job) if wanted and not _switched_off() else None
    telling = Telling(telemetry)
    try:
        yield telling
    except BaseException:
        telling.hurried = True
        raise
    finally:
        if telemetry is not None:
            await telemetry.finish(hurried=telling.hurried)


async def _started(job: Job) -> Telemetry | None:
    try:
        return await Telemetry.started(subject_of(job))
    except OSError as error:
        LOG.warning("--otel: nothing is exported: the process for it did not start: %s", error.strerror)
        return None


def _switched_off() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def subject_of(job: Job) -> Subject:
    """What all spans of a job have in common. Of a URL only host and port are told."""
    places = {name: _place(name, provider) for name, provider in job.providers.items()}
    return Subject(job=job.job, places=places, vectors=job.vectors is not None)


def _place(name: str, provider: Provider) -> Place:
    if provider.base_url is None:
        return Place(name=name)
    url = urlsplit(provider.base_url)
    preset = provider.preset or preset_of(provider.base_url) or name
    port = url.port or (443 if url.scheme == "https" else 80)
    return Place(name=_CALLED.get(preset, preset), address=url.hostname, port=port)
