"""Servers on loopback that record what reaches them, and answer as they are told."""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def model(self) -> str:
        return str(json.loads(self.body)["model"])


@dataclass(frozen=True)
class Reply:
    """An answer. `length`: a content-length that is not the body's; `raw`: these bytes instead of all that."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    raw: bytes | None = None
    reset: bool = False


HANG = Reply(status=0)
Answer = Callable[[Received], Reply]


@dataclass
class Receiver:
    """A server that is running: where it is, and what it has received."""

    port: int
    received: list[Received] = field(default_factory=list)
    arrived: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def completion(content: str = "fine", **more: Any) -> Reply:
    """A chat completion with this answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return Reply(
        body=json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage, **more}).encode()
    )


def always(reply: Reply) -> Answer:
    return lambda _: reply


@contextmanager
def receiving(answer: Answer) -> Iterator[Receiver]:
    """Run a server for as long as the block runs."""
    closing = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            receiver.received.append(received)
            receiver.arrived.set()
            _answer(self, answer(received), closing)

        do_GET = do_CONNECT = do_POST  # noqa: N815  http.server's names

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_port)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(handler: BaseHTTPRequestHandler, reply: Reply, closing: Event) -> None:
    if reply is HANG:
        closing.wait()
        return
    if reply.reset:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()
        return
    if reply.raw is not None:
        handler.wfile.write(reply.raw)
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    headers = {"content-type": "application/json", **reply.headers}
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(reply.body) if reply.length is None else reply.length))
    handler.end_headers()
    with suppress(ConnectionError):  # who asked has seen enough
        handler.wfile.write(reply.body)
    handler.close_connection = reply.length is not None
