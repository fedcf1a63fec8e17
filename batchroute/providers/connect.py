"""One provider of a job as a live thing: a transport, the judge of its answers, the map of its errors."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec.structs import replace

from batchroute.core.requests import Endpoint, Request
from batchroute.core.responses import Failure, Outcome, Response
from batchroute.job import jobs
from batchroute.providers import embeddings, responses
from batchroute.providers.accounts import Account
from batchroute.providers.answers import judge
from batchroute.providers.errors import failure
from batchroute.providers.payloads import of_embeddings, of_responses
from batchroute.providers.redaction import Keys, Redactor, keys_of, passwords
from batchroute.providers.sdk import Sdk
from batchroute.providers.transports import Transport
from batchroute.providers.wire import Wire

_TRANSPORTS: Final[dict[str, Callable[[Account], Transport]]] = {"wire": Wire, "sdk": Sdk}
_NAMES: Final = ("response_id", "response_model", "service_tier")
_OF_ANSWERS: Final = ("content", *_NAMES)
_OF_FAILURES: Final = ("message", "finish_reason", "response_id", "response_model")

Told = TypeVar("Told", Response, Failure)


class HttpProvider:
    """A Provider that is reached over HTTP. Failures name no secret of the account."""

    def __init__(self, account: Account, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._post = transport.post
        self._redactor = Redactor(_secrets(account))
        self._keys = Keys.for_answers(_secrets(account))
        self._short_keys = Keys.for_names(keys_of(account.api_key, account.headers))
        self._keyed = bool(self._keys.forms or self._short_keys.forms)

    def __repr__(self) -> str:
        return f"HttpProvider({self._account.name!r}, {self._account.base_url!r})"

    async def send(self, request: Request, model: str, *, timeout_s: float) -> Outcome:
        """See Provider."""
        try:
            if request.endpoint is Endpoint.CHAT:
                outcome = judge(await self._post(request.body(model), timeout_s=timeout_s), request, model)
            else:
                outcome = await self._send_otherwise(request, model, timeout_s)
        except Exception as error:  # noqa: BLE001 # an attempt that fails is a value, whatever broke it
            outcome = failure(error)
        if isinstance(outcome, Failure):
            return self._redacted(outcome)
        return self._answered(outcome) if self._keyed else outcome

    async def _send_otherwise(self, request: Request, model: str, timeout_s: float) -> Outcome:
        if request.endpoint is Endpoint.RESPONSES:
            body = of_responses(request, model)
            reply = await self._post(body, timeout_s=timeout_s, path=responses.PATH)
            return responses.judge(reply, request, model)
        reply = await self._post(
            of_embeddings(request, model),
            timeout_s=timeout_s,
            path=embeddings.PATH,
            most_bytes=embeddings.most_bytes(request),
        )
        return embeddings.judge(reply, request, model)

    async def ping(self, timeout_s: float) -> Failure | None:
        """List the models, which costs nothing; None when the provider answers and accepts the credentials."""
        try:
            await self._transport.get("models", timeout_s=timeout_s)
        except Exception as error:  # noqa: BLE001 # see send
            return self._redacted(failure(error))
        return None

    async def close(self) -> None:
        """See Provider."""
        await self._transport.close()

    def _answered(self, told: Response) -> Response:
        """The answer, without the key in it, should a gateway repeat what it was sent.

        What it says is the customer's: only what cannot be a word is taken out of that.
        """
        names = f"{told.response_id}\n{told.response_model}\n{told.service_tier}"
        if self._keys.stand_in(f"{told.content}\n{names}"):
            told = _with_words(told, _OF_ANSWERS, self._keys.taken_out)
        if self._short_keys.stand_in(names):
            told = _with_words(told, _NAMES, self._short_keys.taken_out)
        return told

    def _redacted(self, told: Failure) -> Failure:
        return _with_words(told, _OF_FAILURES, self._redactor.clean)


def _with_words(told: Told, names: Iterable[str], clean: Callable[[str], str]) -> Told:
    """The outcome with these texts of it cleaned, where they are there."""
    return replace(told, **{name: clean(word) for name in names if (word := getattr(told, name))})


def connect(spec: jobs.Provider, *, name: str, connections: int, base_url: str | None = None) -> HttpProvider:
    """Open the provider of this name for up to `connections` requests in flight; nothing is sent yet.

    `base_url` stands in for the spec's, as for a simulator. Raises JobError for an unusable `ca_file` and
    NoModelError where the machine trusts no certificate at all.
    """
    account = account_of(spec, name=name, connections=connections, base_url=base_url)
    return HttpProvider(account, _TRANSPORTS[spec.transport](account))


def account_of(spec: jobs.Provider, *, name: str, connections: int, base_url: str | None = None) -> Account:
    """Who is asked, and as whom: the key travels as a bearer token, or in the header that the preset has for it."""
    url = base_url or spec.base_url
    assert url is not None, "only a simulator has no URL of its own"
    key = spec.key.get_secret_value() if spec.key is not None else None
    carried = {spec.key_header: key} if spec.key_header and key else {}
    headers = {header.lower(): value.get_secret_value() for header, value in spec.headers.items()}
    return Account(
        name=name,
        base_url=url,
        connections=connections,
        api_key=None if spec.key_header else key,
        headers={**carried, **headers},
        ca_file=spec.ca_file,
        proxy=spec.proxy.get_secret_value() if spec.proxy is not None else None,
    )


def _secrets(account: Account) -> tuple[str, ...]:
    keys = (account.api_key,) if account.api_key else ()
    return (*keys, *account.headers.values(), *passwords(account.proxy))
