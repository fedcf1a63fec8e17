"""Object storage as a process of its own, and a way to it on which things go wrong."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import boto3
from botocore.config import Config

PATIENCE_S = 30.0
KEY_ID = "AKIAQ7ZP4NEXAMPLE5XY"
SECRET = "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"
OURS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"}
# Nobody's own credentials, and no question to the metadata of a cloud's machine.
ALONE = {
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}  # fmt: skip


@contextmanager
def moto(folder: Path, **environ: str) -> Iterator[str]:
    """moto's server (getmoto/moto, docs/server_mode, 5.2) on a port that is free; gives its URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / f"moto-{port}.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})
    try:
        _wait_for(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@contextmanager
def guarded(server: str) -> Iterator[None]:
    """Let the server look at the keys of requests (getmoto/moto, docs/iam, 5.2), which it does not do by itself."""
    _let_pass(server, "0")
    try:
        yield
    finally:
        _let_pass(server, "inf")


def _let_pass(server: str, requests: str) -> None:
    with closing(http.client.HTTPConnection(server.removeprefix("http://"), timeout=PATIENCE_S)) as line:
        line.request("POST", "/moto-api/reset-auth", requests)
        assert line.getresponse().status == 200


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return
        threading.Event().wait(0.05)
    raise AssertionError("moto's server did not come up")


def client(url: str, service: str = "s3", **options: Any) -> Any:
    """A client of ours, beside the one that is tested."""
    return boto3.client(
        service,
        endpoint_url=url,
        aws_access_key_id=options.get("key_id", KEY_ID),
        aws_secret_access_key=options.get("secret", SECRET),
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


class Storage:
    """A bucket of its own on a server, looked at from outside."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url, self.bucket = url, bucket
        self._client = client(url)
        self._client.create_bucket(Bucket=bucket)

    @property
    def options(self) -> dict[str, str]:
        """`storage_options` with the credentials in the environment."""
        return {
            "aws_endpoint_url": self.url,
            "aws_access_key_id": "${STORAGE_KEY_ID}",
            "aws_secret_access_key": "${STORAGE_SECRET}",
            "aws_region": "us-east-1",
        }

    def put(self, key: str, content: bytes, notes: Mapping[str, str] = MappingProxyType({})) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=content, Metadata=dict(notes))

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What there is below a prefix, by the rest of its key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {key.removeprefix(prefix): self._read(key) for key in keys}

    def _read(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content


class Gate:
    """A way to a server on which each request is told, and may be refused or held.

    `on` is asked with method and path: a status refuses the request, None lets it through. It may wait.
    """

    def __init__(self, server: str) -> None:
        self.seen: list[str] = []
        self.on: Callable[[str, str], int | None] = lambda _method, _path: None
        self._host = server.removeprefix("http://")
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def _pass(self) -> None:
                gate.answer(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - the names that http.server calls

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, *methods: str) -> list[str]:
        """Requests of these methods, as `METHOD key`, in the order in which they came."""
        return [line for line in self.seen if line.split()[0] in methods]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        request.headers["Expect"] = ""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        key = re.sub(r"^/[^/?]*/?", "", request.path).partition("?")[0]
        self.seen.append(f"{request.command} {key}")
        refused = self.on(request.command, key)
        with suppress(OSError):  # whoever asked may be dead by now
            if refused is not None:
                request.send_response(refused)
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            self._forward(request, body)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        with closing(http.client.HTTPConnection(self._host, timeout=PATIENCE_S)) as onward:
            headers = {name: value for name, value in request.headers.items() if name != "Expect"}
            onward.request(request.command, request.path, body, headers)
            answer = onward.getresponse()
            content = answer.read()
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "content-length", "server", "date"}:
                request.send_header(name, value)
        length = answer.getheader("Content-Length") if request.command == "HEAD" else None
        request.send_header("Content-Length", length or str(len(content)))
        request.end_headers()
        request.wfile.write(content)
