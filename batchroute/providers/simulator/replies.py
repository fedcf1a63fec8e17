"""How the simulated provider answers: decides everything about a reply at once, and sends nothing."""

import math
from collections import Counter
from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from time import time

from msgspec import Struct, json, structs

from batchroute.providers.simulator import (
    answers,
    chance,
    chat,
    embeddings,
    prompts,
    responses,
    sheets,
    structured,
)
from batchroute.providers.simulator.limits import Gate, Refusal
from batchroute.providers.simulator.memories import Memory
from batchroute.providers.simulator.settings import ModelSettings, Settings

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
_RETRY_S = 0.25
_REFUSAL = "I'm sorry, but I can't help with that."
UNFIT = "That depends on how you look at it."
"""Said where one of some words was asked for."""
_PATH = "/v1/chat/completions"
_RESPONSES = "/v1/responses"
_EMBEDDINGS = "/v1/embeddings"

_Write = Callable[[chat.Completion], bytes]


class Ending(Enum):
    """What becomes of a request."""

    ANSWER = "answer"
    HANG = "hang"
    DISCONNECT = "disconnect"


class Reply(Struct, frozen=True, kw_only=True):
    """What to send and when. With a `gate`, its place must be left when the reply is sent or given up."""

    status: int = 200
    body: bytes = b""
    kind: bytes = _JSON
    headers: bytes = b""
    delay_s: float = 0.0
    ending: Ending = Ending.ANSWER
    gate: Gate | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What the model makes of a prompt, before anything goes wrong."""

    content: str | None
    finish_reason: str
    tokens: int
    refusal: str | None = None


class Model:
    """One simulated model at work: its gate, the requests it has seen, and counts of what became of them."""

    def __init__(self, name: str, settings: ModelSettings, seed: int, now: float) -> None:
        self.name = name
        self.settings = settings
        self.gate = Gate(settings.limits, now)
        self.counts: Counter[str] = Counter()
        self._memory = None if settings.prompt_cache is None else Memory(settings.prompt_cache)
        self._key = chance.key(seed, name)
        self._started = now
        self._seen: dict[int, int] = {}  # about 70 bytes a request, which is what this process grows by
        self._fingerprint = f"fp_{blake2b(json.encode(settings), digest_size=5).hexdigest()}"

    def reply(self, request: chat.ChatRequest, now: float, write: _Write = json.encode) -> Reply:
        """Answer one request, the body of the answer by `write`. Only an admitted one counts as seen, so that limits do not change later answers."""
        self.counts["requests"] += 1
        if self._is_out(now):
            return self._overloaded("outage")
        if refusal := self.gate.refusal(0, now):
            return self._refused(refusal, now)
        prompt = prompts.read([(message.role, message.text) for message in request.messages])
        fingerprint = chance.fingerprint(self._key, prompt.wire)
        key = int.from_bytes(fingerprint[:7], "little")  # the longest that a small int holds
        seen = self._seen.get(key, 0)
        draws = chance.draw(fingerprint, seen)
        fault = chance.pick(self.settings.errors, draws.fault)
        answer = self._answer(request, prompt, draws, fault)
        if refusal := self.gate.refusal(prompt.tokens + answer.tokens, now):
            return self._refused(refusal, now)
        self._seen[key] = seen + 1
        self.gate.enter(prompt.tokens + answer.tokens)
        cached = 0
        if self._memory is not None and fault not in _NO_ANSWER:
            cached = self._memory.cached(prompt.wire, now, known_at=now + self._delay(answer.tokens, draws))
        completion = self._completion(answer, prompt, draws, cached)
        return self._admitted(fault, answer.tokens, lambda: write(completion), draws, now)

    def embed(self, request: embeddings.EmbeddingsRequest, now: float) -> Reply:
        """Answer a request for vectors. A text that is too long has the whole of it refused, as OpenAI does."""
        self.counts["requests"] += 1
        if self._is_out(now):
            return self._overloaded("outage")
        sizes = [embeddings.tokens(text) for text in request.texts]
        if max(sizes) > embeddings.MOST_TOKENS:
            self.counts["refused"] += 1
            return _too_long(max(sizes))
        if refusal := self.gate.refusal(sum(sizes), now):
            return self._refused(refusal, now)
        wire = "\x1e".join(request.texts).encode("utf-8", "replace")
        fingerprint = chance.fingerprint(self._key, wire)
        key = int.from_bytes(fingerprint[:7], "little")
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        draws = chance.draw(fingerprint, seen - 1)
        fault = chance.pick(self.settings.errors, draws.fault)
        self.gate.enter(sum(sizes))
        fault = fault if fault in _NO_ANSWER else None
        return self._admitted(fault, 0, lambda: embeddings.written(request, sum(sizes)), draws, now)

    def statistics(self) -> dict[str, int]:
        """Plain counts since the start: requests, what became of them, and how many are in flight."""
        return {**self.counts, "in_flight": self.gate.in_flight, "peak_in_flight": self.gate.peak}

    def _is_out(self, now: float) -> bool:
        age = now - self._started
        return any(outage.after <= age < outage.after + outage.lasting for outage in self.settings.outages)

    def _answer(
        self, request: chat.ChatRequest, prompt: prompts.Prompt, draws: chance.Draws, fault: str | None
    ) -> Answer:
        if fault in _NO_ANSWER:
            return Answer(content=None, finish_reason="stop", tokens=0)
        if fault == "refusal":
            return Answer(content=None, finish_reason="stop", tokens=_tokens(_REFUSAL), refusal=_REFUSAL)
        if fault == "empty":
            return Answer(content="", finish_reason="stop", tokens=1)
        spoilt = fault == "invalid"
        text = answers.poor(fault, prompt, draws.shape) or self._text(request, prompt, draws, spoilt=spoilt)
        tokens = _tokens(text)
        room = tokens if request.cap is None else min(tokens, request.cap)
        if fault == "truncated":
            room = min(room, (tokens + 1) // 2)
        elif room == tokens:
            return Answer(content=text, finish_reason="stop", tokens=tokens)
        return Answer(content=text[: room * 4], finish_reason="length", tokens=room)

    def _text(
        self, request: chat.ChatRequest, prompt: prompts.Prompt, draws: chance.Draws, *, spoilt: bool
    ) -> str:
        prompt = structs.replace(prompt, text=request.subject or prompt.text)
        task = prompts.infer(prompt)
        able = draws.skill < self.settings.chance(task)
        told = structured.told(prompt.system)
        if told is not None:
            written = structured.write(told, prompt, able=able and not spoilt, shape=draws.shape)
            return structured.around(written, draws.shape)
        if (schema := request.schema) is not None:
            return structured.write(schema, prompt, able=able and not spoilt, shape=draws.shape)
        if task == "classify" and (sheet := sheets.read(prompt)) is not None:
            return sheets.write(sheet, skill=self.settings.chance(task), shape=draws.shape)
        return UNFIT if spoilt else answers.write(task, prompt, able=able, shape=draws.shape)

    def _admitted(
        self, fault: str | None, tokens: int, body: Callable[[], bytes], draws: chance.Draws, now: float
    ) -> Reply:
        self.counts[fault or "answered"] += 1
        headers = self.gate.headers(now) + f"x-request-id: req_{draws.tag}\r\n".encode()
        reply = self._failed(fault, headers)
        if reply is None:
            reply = Reply(body=body(), headers=headers)
        delay = 0.0 if fault in ("rate_limit", "overloaded") else self._delay(tokens, draws)
        return structs.replace(reply, delay_s=delay, gate=self.gate)

    def _delay(self, tokens: int, draws: chance.Draws) -> float:
        latency, speed = self.settings.latency, self.settings.tokens_per_s
        begins = 0.0 if latency is None else chance.log_normal(latency.p50, latency.p95, draws.latency)
        return begins + (tokens / speed if speed else 0.0)

    def _completion(
        self, answer: Answer, prompt: prompts.Prompt, draws: chance.Draws, cached: int
    ) -> chat.Completion:
        message = chat.AnswerMessage(answer.content, answer.refusal)
        usage = chat.Tokens.of(prompt.tokens, cached, answer.tokens)
        return chat.Completion(
            id=f"chatcmpl-{draws.tag}",
            created=int(time()),
            model=self.name,
            choices=(chat.Choice(message, answer.finish_reason),),
            usage=usage,
            system_fingerprint=self._fingerprint,
        )

    def _failed(self, fault: str | None, headers: bytes) -> Reply | None:
        """The reply to a request that goes wrong; None when it is answered."""
        match fault:
            case "rate_limit":
                message = f"Rate limit reached for {self.name}. Please try again in {_RETRY_S:g}s."
                return _rate_limited("requests", message, _RETRY_S, headers)
            case "server_error":
                return Reply(status=500, body=_SERVER_ERROR, headers=headers)
            case "overloaded":
                return Reply(status=503, body=_OVERLOADED, headers=headers)
            case "timeout":
                return Reply(ending=Ending.HANG)
            case "disconnect":
                return Reply(ending=Ending.DISCONNECT)
            case "malformed":
                return Reply(body=_PAGE, kind=_HTML)
        return None

    def _overloaded(self, count: str) -> Reply:
        self.counts[count] += 1
        return Reply(status=503, body=_OVERLOADED)

    def _refused(self, refusal: Refusal, now: float) -> Reply:
        self.counts["limited"] += 1
        message = f"Rate limit reached for {self.name} on {refusal.limit}: {refusal.message}"
        return _rate_limited(refusal.limit, message, refusal.wait_s, self.gate.headers(now))


class Simulator:
    """The simulated provider: takes the requests of HTTP and decides the replies. `now` is a monotonic clock's."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings = settings
        self._models = {
            name: Model(name, model, settings.seed, now) for name, model in settings.models.items()
        }
        self._created = int(time())

    def reply(self, method: str, path: str, body: bytes, now: float) -> Reply:
        """The reply to a request of this method and path."""
        if path in _ASKED:
            return self._asked(path, body, now) if method == "POST" else _wrong_method(method, b"POST")
        if path not in ("/v1/models", "/health"):
            return Reply(
                status=404, body=chat.error(f"Invalid URL ({method} {path})", "invalid_request_error")
            )
        if method != "GET":
            return _wrong_method(method, b"GET")
        if path == "/health":
            return Reply(body=json.encode(self.health()))
        return Reply(body=chat.listing(self._settings.models, self._created))

    def health(self) -> dict[str, object]:
        """Plain counts since the start, in all and by model."""
        models = {name: model.statistics() for name, model in self._models.items()}
        requests = sum(model.counts["requests"] for model in self._models.values())
        return {"status": "ok", "requests": requests, "models": models}

    def _asked(self, path: str, body: bytes, now: float) -> Reply:
        try:
            request = _ASKED[path](body)
        except ValueError as error:
            return Reply(status=400, body=chat.error(str(error), "invalid_request_error"))
        model = self._models.get(request.model)
        if model is None:
            message = f"The model {request.model!r} does not exist."
            return Reply(
                status=404, body=chat.error(message, "invalid_request_error", "model_not_found", "model")
            )
        if isinstance(request, embeddings.EmbeddingsRequest):
            return model.embed(request, now)
        return model.reply(request, now, responses.written if path == _RESPONSES else json.encode)


def _tokens(text: str) -> int:
    """About four characters a token, at least one."""
    return max(1, math.ceil(len(text) / 4))


def _too_long(tokens: int) -> Reply:
    message = (
        f"This model's maximum context length is {embeddings.MOST_TOKENS} tokens, however you requested {tokens} "
        "tokens. Please reduce your prompt."
    )
    return Reply(
        status=400, body=chat.error(message, "invalid_request_error", "context_length_exceeded", "input")
    )


def _rate_limited(limit: str, message: str, wait_s: float | None, headers: bytes) -> Reply:
    hint = b""
    if wait_s is not None:
        hint = f"retry-after: {math.ceil(wait_s)}\r\nretry-after-ms: {math.ceil(wait_s * 1000)}\r\n".encode()
    body = chat.error(message, limit, "rate_limit_exceeded")
    return Reply(status=429, body=body, headers=headers + hint)


def _wrong_method(method: str, allowed: bytes) -> Reply:
    body = chat.error(f"Not allowed: {method}", "invalid_request_error")
    return Reply(status=405, body=body, headers=b"allow: %b\r\n" % allowed)


_ASKED: dict[str, Callable[[bytes], chat.ChatRequest | embeddings.EmbeddingsRequest]] = {
    _PATH: chat.read,
    _RESPONSES: responses.read,
    _EMBEDDINGS: embeddings.read,
}
_NO_ANSWER = frozenset({"rate_limit", "server_error", "overloaded", "timeout", "disconnect", "malformed"})
_SERVER_ERROR = chat.error("The server had an error while processing your request.", "server_error")
_OVERLOADED = chat.error("The model is overloaded.", "server_error", "server_is_overloaded")
