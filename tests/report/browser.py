"""A real browser that shows a file: chromium, spoken to over a pair of pipes, with every request it makes noted."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

CHROMIUM = shutil.which("chromium")

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-pipe",  # its descriptors are 3 and 4
)
_PLACE = "import os, sys; r, w = int(sys.argv[1]), int(sys.argv[2]); os.dup2(r, 30); os.dup2(w, 31); os.dup2(30, 3); os.dup2(31, 4); os.execv(sys.argv[3], sys.argv[3:])"

Scheme = Literal["light", "dark"]


class Browser:
    """One tab. `requests` are the addresses of all that pages asked for."""

    def __init__(self, to_it: int, from_it: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._out, self._in = os.fdopen(to_it, "wb", 0), os.fdopen(from_it, "rb")
        self._number, self._session = 0, ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """Let go of the pipes."""
        self._out.close()
        self._in.close()

    def show(
        self, file: Path, *, width: int, height: int = 900, scheme: Scheme = "light", media: str = ""
    ) -> None:
        """Load a file in a window of this size and wait until it is there."""
        mobile = width < 600
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        wish = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[wish])
        self.ask("Page.navigate", url=file.as_uri())
        while self._heard().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """What an expression is worth in the page, whatever the page itself may run."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG."""
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        self._out.write(json.dumps(asked).encode() + b"\0")
        while (heard := self._heard()).get("id") != self._number:
            pass
        if "error" in heard:
            raise RuntimeError(heard["error"])
        result: dict[str, Any] = heard["result"]
        return result

    def _heard(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._until_nul())
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        return message

    def _until_nul(self) -> bytes:
        read = bytearray()
        while (octet := self._in.read(1)) != b"\0":
            if not octet:
                raise RuntimeError("the browser has gone")
            read += octet
        return bytes(read)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, gone afterwards."""
    assert CHROMIUM is not None
    reads, to_it = os.pipe()
    from_it, writes = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-c",
                _PLACE,
                str(reads),
                str(writes),
                CHROMIUM,
                *_OPTIONS,
                f"--user-data-dir={profile}",
            ],
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        try:
            with closing(Browser(to_it, from_it)) as opened:
                yield opened
        finally:
            process.terminate()
            process.wait(10)
