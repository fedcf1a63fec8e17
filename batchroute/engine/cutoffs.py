"""When what is still going on is cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Cutoff:
    """A time limit of a body that is set while the body runs, and only ever comes nearer."""

    def __init__(self) -> None:
        self._timeout: asyncio.Timeout | None = None

    @asynccontextmanager
    async def over(self) -> AsyncIterator[None]:
        """Run the body until it ends by itself or its time has come; raises TimeoutError then."""
        try:
            async with asyncio.timeout(None) as self._timeout:
                yield
        finally:
            self._timeout = None

    def within(self, seconds: float) -> bool:
        """Cut the body off after so long, if it is not to be sooner; False where none is running."""
        if self._timeout is None or self._timeout.expired():
            return False
        end, planned = asyncio.get_running_loop().time() + seconds, self._timeout.when()
        self._timeout.reschedule(end if planned is None else min(end, planned))
        return True
