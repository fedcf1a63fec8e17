"""The job file as types. What each value may be is said here; how several fit together, in `rules`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from batchroute.core.results import RESULT_COLUMNS
from batchroute.job.adaptations import Adaptation, own_params
from batchroute.job.addresses import ApiKey, BaseUrl, HeaderName, HeaderValue, ProxyUrl
from batchroute.job.budgets import Budget
from batchroute.job.caches import Cache
from batchroute.job.checks import Checks
from batchroute.job.choices import RecordUsd, StrategyName, Weight, flat
from batchroute.job.deadlines import Deadline
from batchroute.job.endpoints import Embeddings, EndpointName
from batchroute.job.families import ResponseFormat, known, known_format
from batchroute.job.forms import Form
from batchroute.job.functions import FunctionName
from batchroute.job.images import ImageColumns, ImageMegabytes
from batchroute.job.key_files import KeyFilePath
from batchroute.job.last_resorts import LastResort
from batchroute.job.notify import Notify
from batchroute.job.paths import LocalPath, Origin, PathText
from batchroute.job.presets import PRESETS, PresetName, named, preset_of
from batchroute.job.prices import PriceSpec
from batchroute.job.profiles import USUAL, ProfileName, Profiles, RouteModels
from batchroute.job.simulation import Simulation
from batchroute.job.spec import Key, Listed, Name, Positive, Seconds, Share, Spec, Text, distinct
from batchroute.job.stages import LlmStage, PythonStage, Stage
from batchroute.job.storage import SCHEME, ObjectUrl, StorageOptions

Complexity: TypeAlias = Literal["simple", "medium", "hard"]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]


def _words(value: Any) -> Any:
    """One word is a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _not_ours(names: tuple[str, ...]) -> tuple[str, ...]:
    taken = [name for name in names if name in RESULT_COLUMNS]
    if taken:
        raise ValueError(f"names {taken[0]!r}, a column of the results. Rename it in the input")
    return names


def _collected(path: Path) -> Path:
    if path.suffix != ".prom":
        raise ValueError("must end in .prom: Prometheus' node_exporter reads no other file. Rename it")
    return path


class Input(Spec):
    """Where the records come from."""

    path: PathText = Field(
        description="A .jsonl, .jsonl.gz, .jsonl.zst or .parquet file, a directory or a glob; relative to the job file. "
        "Or the same in object storage: s3://bucket/prefix/*.parquet."
    )
    storage_options: StorageOptions = Field(
        default_factory=StorageOptions, description="How to reach the object storage that path names."
    )
    id: Text | None = Field(
        default=None,
        description="The column that names each record, unique in the input. Default: file and line.",
    )
    text: Text | None = Field(
        default=None, description="The column that classification reads. Default: what the prompt uses."
    )
    language: Text | None = Field(
        default=None,
        description="The column with a record's language, such as en or pt-BR, for models that declare languages.",
    )
    model: Text | None = Field(
        default=None,
        description="The column with the model that a record asks for: one of `models`, or auto, auto-cheap, auto-fast, "
        "auto-best, auto-code or auto-free. With prompt.body: NAME, NAME.model is the model that the body names.",
    )
    profile: Text | None = Field(
        default=None,
        description="The column with a record's profile: budget, balanced or quality. Default: that of the job.",
    )
    max_bad: Share = Field(
        default=0.5,
        description="The share of records that cannot be sent, 0 to 1, above which the run stops. Default: 0.5.",
    )

    @model_validator(mode="after")
    def _storage_is_used(self) -> Self:
        if self.storage_options != StorageOptions() and not self.path.startswith(SCHEME):
            raise ValueError("has storage_options without a path in object storage. Remove them")
        return self


class Output(Spec):
    """Where results, ledger and manifest go."""

    path: LocalPath = Field(description="A directory, made when it is missing; relative to the job file.")
    keep: Annotated[tuple[Text, ...], Listed, AfterValidator(distinct), AfterValidator(_not_ours)] = Field(
        default=(), description="Input columns to carry into the results."
    )
    copy_to: ObjectUrl | None = Field(
        default=None,
        description="Object storage that finished parts are copied to, such as s3://bucket/prefix.",
    )
    storage_options: StorageOptions = Field(
        default_factory=StorageOptions, description="How to reach the object storage that copy_to names."
    )
    metrics: Annotated[LocalPath, AfterValidator(_collected)] | None = Field(
        default=None,
        description="A .prom file for the textfile collector of Prometheus' node_exporter; relative to the job file.",
    )

    @model_validator(mode="after")
    def _storage_is_used(self) -> Self:
        if self.storage_options != StorageOptions() and self.copy_to is None:
            raise ValueError("has storage_options without copy_to. Remove them, or add copy_to")
        return self


class Message(Spec):
    """One message of a chat."""

    role: Role = Field(description="system, developer, user, assistant or tool: who speaks.")
    content: Text = Field(description="A template over the record's columns.")


class Prompt(Spec):
    """How a record becomes a request."""

    system: Text | None = Field(
        default=None, description="A template of the system message; only together with `user`."
    )
    user: Text | None = Field(
        default=None, description='A template of the user message, such as "{{ text }}".'
    )
    messages: Annotated[tuple[Message, ...], Listed, Field(min_length=1)] | None = Field(
        default=None, description="A whole list of templated messages."
    )
    column: Text | None = Field(
        default=None, description="A column that holds a `messages` list, sent as it stands."
    )
    body: Text | None = Field(
        default=None, description="A column that holds a whole request body, sent as it stands."
    )
    params: Annotated[dict[str, JsonValue], AfterValidator(own_params)] = Field(
        default_factory=dict,
        description="Members of each request body, such as max_tokens and temperature.",
    )
    images: ImageColumns = Field(
        default=(),
        description="Columns with images, for the last user message: URLs, paths within the folder of the input, or bytes.",
    )
    max_image_mb: ImageMegabytes = Field(
        default=20.0, description="Megabytes that an image may have, at most 50. Default: 20."
    )
    image_folder: LocalPath | None = Field(
        default=None,
        description="The folder that paths of images begin in and may not lead out of. Default: that of the input file.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [name for name in ("user", "messages", "column", "body") if getattr(self, name) is not None]
        if not forms:
            raise ValueError('needs one of user, messages, column and body. Write user: "{{ text }}"')
        if len(forms) > 1:
            given = " and ".join(forms)
            raise ValueError(
                f"needs exactly one of user, messages, column and body, but has {given}. Keep one"
            )
        if self.system is not None and self.user is None:
            raise ValueError("has system without user. Put it first in messages, as role: system")
        return self

    def shape(self) -> dict[str, Any]:
        """What of it shapes the answers. A prompt without images has the shape that it had before there were any."""
        plain = self.model_dump(mode="json", exclude={"images", "max_image_mb", "image_folder"})
        return {**plain, "images": self.images} if self.images else plain


class Provider(Spec):
    """An endpoint and an account."""

    kind: Literal["openai", "simulator"] = Field(
        default="openai",
        description="openai for any OpenAI-compatible server, simulator for the embedded one, free and offline.",
    )
    preset: PresetName | None = Field(
        default=None,
        description="A provider that is known by name: its URL, and the variable of the environment that holds the key.",
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="The root of the API, such as https://api.openai.com/v1. Default: that of the preset.",
    )
    api_key: ApiKey | None = Field(
        default=None, description='The key, from the environment: "${OPENAI_API_KEY}".'
    )
    api_key_file: KeyFilePath | None = Field(
        default=None,
        description="A file that holds the key and nothing else, instead of api_key; relative to the job file.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Further headers of every request."
    )
    ca_file: LocalPath | None = Field(
        default=None, description="PEM file of a private certificate authority."
    )
    proxy: ProxyUrl | None = Field(
        default=None, description="An http(s) proxy URL. Proxy variables of the environment are not read."
    )
    transport: Literal["wire", "sdk"] = Field(
        default="wire",
        description="wire, which is fast, or sdk: all through the openai SDK, for unusual hosts.",
    )
    simulation: Simulation | None = Field(
        default=None, description="How the simulator behaves; only for kind: simulator."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_simulation(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("kind") == "simulator" and value.get("simulation") is None:
            return {**value, "simulation": {}}
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_url(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("base_url") is None and value.get("kind") != "simulator":
            preset = named(value.get("preset"))
            return value if preset is None else {**value, "base_url": preset.base_url}
        return value

    @model_validator(mode="after")
    def _fits_preset(self) -> Self:
        if self.preset is None:
            return self
        if self.base_url is None and self.kind == "openai":
            raise ValueError(
                f"needs a base_url beside preset {self.preset}. "
                "Write that of your resource: https://NAME.openai.azure.com/openai/v1"
            )
        url = self.base_url or ""
        owner = preset_of(url)
        if owner not in {None, self.preset}:
            raise ValueError(f"is preset {self.preset} with the base_url of {owner}. Write preset: {owner}")
        if owner == "azure" and not url.endswith("/openai/v1"):
            raise ValueError(
                "has a base_url that is not the v1 API's. Write https://NAME.openai.azure.com/openai/v1"
            )
        return self

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if self.kind == "openai" and self.base_url is None:
            raise ValueError(
                "needs a base_url. Write base_url: https://api.openai.com/v1, a preset, or kind: simulator"
            )
        if self.kind == "openai" and self.simulation is not None:
            raise ValueError("has simulation without kind: simulator. Add the kind or remove simulation")
        if self.kind == "simulator":
            self._refuse_network()
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("has api_key and api_key_file. Keep one of them")
        return self

    @property
    def key(self) -> SecretStr | None:
        """The key, wherever it was found; None where the server wants none."""
        return self.api_key_file.key if self.api_key_file is not None else self.api_key

    @property
    def known_by(self) -> PresetName | None:
        """Who it is: as the job says, or by its URL."""
        return self.preset or (preset_of(self.base_url) if self.base_url else None)

    @property
    def key_header(self) -> str | None:
        """The header that carries the key in place of Authorization."""
        return PRESETS[self.preset].key_header if self.preset else None

    def _refuse_network(self) -> None:
        given = [
            name
            for name in ("preset", "base_url", "api_key", "api_key_file", "ca_file", "proxy")
            if getattr(self, name) is not None
        ]
        if given:
            raise ValueError(
                f"is a simulator, which has no {' or '.join(given)}. Remove it, or kind: simulator"
            )


class Limits(Spec):
    """What the provider allows for this model on this account."""

    concurrency: Annotated[Positive, Field(le=10_000)] = Field(
        default=32, description="Requests in flight at once."
    )
    rpm: Positive | None = Field(default=None, description="Requests per minute. Default: no limit.")
    tpm: Positive | None = Field(
        default=None, description="Tokens per minute, input and output. Default: no limit."
    )


class Model(Spec):
    """One choice to answer with: a provider, the name it knows the model by, limits and a price."""

    provider: Text = Field(description="One of `providers`.")
    model: Text | None = Field(
        default=None, description="The provider's name for it. Default: the key of this entry."
    )
    limits: Limits = Field(default_factory=Limits, description="What the provider allows.")
    timeout: Seconds = Field(default=60.0, description="Wall clock of one attempt, such as 30s.")
    hedge: bool = Field(
        default=False,
        description="Send a second request for the slowest one in a hundred, and take what is answered first. "
        "At most 2 % more requests; both are paid for.",
    )
    price: PriceSpec | None = Field(
        default=None,
        description="USD per million tokens. Default: the shipped price list, if it knows the model.",
    )
    adapt: Adaptation = Field(
        default_factory=Adaptation,
        description="What its API differs in from the job's request. Default: what is known of the model by its name.",
    )
    context: Positive | None = Field(
        default=None,
        description="Tokens that a request and its answer may have together. Default: as the price list says, where "
        "the price is from it, too.",
    )
    vision: bool | None = Field(default=None, description="Whether it takes images.")
    json_schema: bool | None = Field(
        default=None, description="Whether it answers to a response_format of type json_schema."
    )
    languages: Annotated[tuple[Text, ...], Listed, Field(min_length=1), AfterValidator(distinct)] | None = (
        Field(default=None, description="The languages it speaks, such as [en, de]. Default: every one.")
    )
    strengths: Annotated[tuple[Text, ...], Listed, AfterValidator(distinct)] = Field(
        default=(),
        description="Tasks that it is good at, such as [code, reason], for auto-best and auto-code.",
    )
    quality: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="How good it is beside the others, 0 to 100, for auto names. Default: unranked, by its price.",
    )


class When(Spec):
    """Which records a route takes: those whose labels are all listed. What is left out is not looked at."""

    task: (
        Annotated[
            tuple[Text, ...],
            BeforeValidator(_words),
            Field(min_length=1),
            AfterValidator(distinct),
            WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        ]
        | None
    ) = Field(default=None, description="A task label, or a list of them.")
    complexity: (
        Annotated[
            tuple[Complexity, ...],
            BeforeValidator(_words),
            Field(min_length=1),
            AfterValidator(distinct),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"enum": ["simple", "medium", "hard"]},
                        {"type": "array", "items": {"enum": ["simple", "medium", "hard"]}},
                    ]
                }
            ),
        ]
        | None
    ) = Field(default=None, description="simple, medium or hard, or a list of them.")

    def takes(self, task: str | None, complexity: str | None) -> bool:
        """Whether a record with these labels belongs here; a label of None is in no list."""
        return (self.task is None or task in self.task) and (
            self.complexity is None or complexity in self.complexity
        )


class Route(Spec):
    """The models that may answer a kind of record, in the order in which they are tried."""

    model_config = ConfigDict(serialize_by_alias=True)  # what is dumped can be read again

    when: When = Field(default_factory=When, description="Which records it takes; `default` has none.")
    written: RouteModels = Field(
        alias="models",
        description="Keys of `models`, the first choice first, such as [mini, large]. Models in a list of their own, "
        "such as [[east, west], backup], stand for one another: requests are spread over them. Or such a list for each "
        "profile: {budget: [small], balanced: [mini, small], quality: [large, mini]}.",
    )
    strategy: StrategyName = Field(
        default="ordered",
        description="What decides on the first choice: ordered (as written), cheapest (for this record), fastest "
        "(by what was observed), least_busy or weighted. Of models in lists of their own, it decides within each list.",
    )
    weights: dict[Key, Weight] = Field(
        default={}, description="For strategy weighted: the share of each model, such as {a: 3, b: 1}."
    )
    max_cost: RecordUsd | None = Field(
        default=None,
        description="USD that a record may be expected to cost: dearer models are left out for it.",
    )
    response: Form | None = Field(
        default=None, description="What its answers have to be. Default: as the job says."
    )
    checks: Checks = Field(
        default=(),
        description="What an answer must be like, such as [{min_chars: 20}, {refusal: true}]; one that is not is "
        "refused, and the next model asked.",
    )
    keep_best: bool = Field(
        default=False,
        description="Where the checks refuse every answer: take the best one, flagged kept_best, rather than none.",
    )
    last_resort: LastResort | None = Field(
        default=None,
        description="What a record gets that no model has answered; its status is degraded. Default: it fails.",
    )

    _profile: ProfileName = PrivateAttr(default=USUAL)

    @property
    def profiled(self) -> bool:
        """Whether each profile has models of its own."""
        return isinstance(self.written, Profiles)

    def chosen(self, profile: ProfileName) -> "Route":
        """The same route with the models of this profile."""
        route = self.model_copy()
        route._profile = profile  # noqa: SLF001  of the same class
        return route

    @property
    def listed(self) -> tuple[Any, ...]:
        """The models of the chosen profile, groups as they are written."""
        return self.written.of(self._profile) if isinstance(self.written, Profiles) else self.written

    @property
    def models(self) -> tuple[str, ...]:
        """All models of the chosen profile, those of a group one after the other."""
        return flat(self.listed)

    def shape(self) -> dict[str, Any]:
        """What of it shapes the answers. A route without a choice has the shape that it had before there was one."""
        plain = {"when": self.when.model_dump(mode="json"), "models": list(self.models)}
        chosen: dict[str, Any] = {"listed": self.listed, "strategy": self.strategy}
        if isinstance(self.written, Profiles):
            plain |= {"profile": self._profile, "profiles": self.written.model_dump(mode="json")}
        if self.listed == self.models and self.strategy == "ordered":
            chosen = {}
        return {**plain, **chosen, **self._demands()}

    def _demands(self) -> dict[str, Any]:
        """What is asked of its answers, where anything is."""
        demands = {
            "checks": [check.model_dump(mode="json", exclude_none=True) for check in self.checks],
            "keep_best": self.keep_best,
            "last_resort": None if self.last_resort is None else self.last_resort.shape(),
        }
        return {name: value for name, value in demands.items() if value}


class Job(Spec):
    """One declared piece of work over one input."""

    job: Name = Field(description="The name: small letters, digits, - and _.")
    input: Input = Field(description="Where the records come from.")
    output: Output = Field(description="Where results, ledger and manifest go.")
    endpoint: EndpointName = Field(
        default="chat",
        description="What is asked of providers: chat (chat completions), responses, or embeddings for vectors.",
    )
    prompt: Prompt = Field(description="How a record becomes a request.")
    embeddings: Embeddings | None = Field(
        default=None, description="How vectors are asked for; only with endpoint: embeddings."
    )
    classify: Annotated[tuple[Stage, ...], Listed] = Field(
        default=(), description="Stages in order; the first that decides wins."
    )
    providers: Annotated[dict[Key, Provider], Field(min_length=1)] = Field(
        description="Endpoints and accounts."
    )
    models: Annotated[dict[Key, Model], Field(min_length=1)] = Field(
        description="Models that routes choose from."
    )
    routes: Annotated[dict[Key, Route], Field(min_length=1)] = Field(
        description="First match wins; `default` closes the list."
    )
    profile: ProfileName = Field(
        default=USUAL,
        description="budget, balanced or quality: which models of routes with profiles answer. Default: balanced.",
    )
    baseline: Text | None = Field(
        default=None, description="The declared model that savings are measured against."
    )
    window: Annotated[int, Field(ge=16, le=1_000_000)] | None = Field(
        default=None, description="Records admitted and not yet committed. Default: chosen from the limits."
    )

    budget: Budget | None = Field(
        default=None, description="The most that may be spent, in USD. Default: no bound."
    )
    deadline: Deadline | None = Field(
        default=None,
        description="When a run has to be done: a time of day with or without a zone, or a moment.",
    )
    notify: Notify | None = Field(
        default=None, description="Whom a run tells how it goes when nobody watches it."
    )
    response: Form | None = Field(
        default=None,
        description="What an answer has to be: JSON of a schema, or one of some labels. Default: any text.",
    )

    dedupe: bool | None = Field(
        default=None,
        description="Whether records that ask the same are sent once and share the answer. Default: they are, "
        "unless their temperature is above 0: then as many answers as records are drawn.",
    )

    cache: Cache | None = Field(
        default=None, description="Where answers are kept for other runs and jobs. Default: nowhere."
    )

    _path: Path = PrivateAttr(default=Path("job.yaml"))
    _warnings: tuple[str, ...] = PrivateAttr(default=())
    _places: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Keep where the job came from; a job made in Python has no file. Tell its routes the profile."""
        for route in self.routes.values():
            route._profile = self.profile  # noqa: SLF001  a route has no profile but that of its job
        if isinstance(context, Origin):
            self._path = context.path
            self._warnings = context.warnings
            self._places = context.places

    @property
    def path(self) -> Path:
        """The job file."""
        return self._path

    @property
    def directory(self) -> Path:
        """The folder of the job file, absolute."""
        return self._path.parent.resolve()

    def place(self, key: str) -> str:
        """Where a text of the prompt stands, such as `job.yaml:7:9: prompt.user`; its key alone for a job made in Python."""
        return self._places.get(key, key)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works and deserves a second look, one sentence each."""
        return self._warnings

    def provider_model(self, model: str) -> str:
        """The name by which the provider knows a declared model."""
        return self.models[model].model or model

    def known_as(self, model: str) -> tuple[str | None, ...]:
        """What a declared model is, whatever the job calls it: the kind and URL of its provider, its name there, and
        the endpoint where that is not chat.
        """
        provider = self.providers[self.models[model].provider]
        asked = () if self.endpoint == "chat" else (self.endpoint,)
        return provider.kind, provider.base_url, self.provider_model(model), *asked

    @property
    def vectors(self) -> Embeddings | None:
        """How vectors are asked for; None where answers are."""
        return (self.embeddings or Embeddings()) if self.endpoint == "embeddings" else None

    @property
    def asks_by_body(self) -> bool:
        """Whether the model that a record asks for is the one that its request body names."""
        return self.prompt.body is not None and self.input.model == f"{self.prompt.body}.model"

    def chosen(self, profile: ProfileName) -> "Job":
        """The same job with another profile."""
        routes = {name: route.chosen(profile) for name, route in self.routes.items()}
        return self.model_copy(update={"profile": profile, "routes": routes})

    def labelling(self) -> tuple[str, ...]:
        """The declared models that stages of classification ask, each once."""
        return tuple(dict.fromkeys(stage.llm.model for stage in self.classify if isinstance(stage, LlmStage)))

    def adaptation(self, model: str) -> Adaptation | None:
        """What requests to a declared model are changed in: as the job says, over what is known of it."""
        declared = self.models[model]
        family = known(self.providers[declared.provider].known_by, self.provider_model(model))
        adaptation = declared.adapt if family is None else declared.adapt.over(family)
        return adaptation if adaptation.changes else None

    def form(self, route: str) -> Form | None:
        """What the answers of a route have to be; None for any text."""
        return self.routes[route].response or self.response

    def answers_in(self, model: str) -> ResponseFormat:
        """The response_format by which a declared model can be asked for JSON: as the job says, or as is known of it."""
        declared, adaptation = self.models[model], self.adaptation(model)
        if adaptation is not None and "response_format" in adaptation.drop:
            return "text"
        provider = self.providers[declared.provider]
        known_as = known_format(provider.known_by, self.provider_model(model))
        if declared.json_schema:
            return "json_schema"
        if declared.json_schema is None:
            return "json_schema" if provider.kind == "simulator" else known_as
        return "json_object" if known_as != "text" else "text"

    def fingerprint(self) -> str:
        """SHA-256 in hex of all that shapes the answers: never a key, a limit, a price or a path."""
        shape = {
            "prompt": self.prompt.shape(),
            "text": self.input.text,
            "classify": [stage.model_dump(mode="json") for stage in self.classify],
            "models": {
                name: [model.provider, self.provider_model(name), *self._adapted(name)]
                for name, model in self.models.items()
            },
            "providers": {name: [each.kind, each.base_url] for name, each in self.providers.items()},
            "routes": [[name, route.shape()] for name, route in self.routes.items()],
            **self._abilities(),
            **self._wishes(),
            **self._functions(),
            **self._forms(),
            **self._asked(),
        }
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()

    def _asked(self) -> dict[str, Any]:
        """What is asked for where that is no chat completion; how many share a request changes no vector."""
        if self.endpoint == "chat":
            return {}
        return {"endpoint": self.endpoint, "vectors": self.vectors.params() if self.vectors else None}

    def _adapted(self, model: str) -> list[Any]:
        """What requests to it are changed in, for the fingerprint; nothing where they are not."""
        adaptation = self.adaptation(model)
        return [] if adaptation is None else [adaptation.model_dump(mode="json")]

    def _functions(self) -> dict[str, Any]:
        """What the files say whose functions classify or check; what those files import is not looked at."""
        names = {stage.python for stage in self.classify if isinstance(stage, PythonStage)}
        names |= {each.python for route in self.routes.values() for each in route.checks if each.python}
        forms = map(self.form, self.routes)
        names |= {form.pydantic for form in forms if form is not None and form.pydantic is not None}
        files = {name: FunctionName.of(name).file(self.directory) for name in sorted(names)}
        written = {
            name: hashlib.sha256(file.read_bytes()).hexdigest()
            for name, file in files.items()
            if file.exists()
        }
        return {"functions": written} if written else {}

    def _wishes(self) -> dict[str, Any]:
        """What records may choose themselves, where any may, and by what a model is chosen for them."""
        asked = self.input.model_dump(mode="json", include={"model", "profile"}, exclude_none=True)
        merits = {
            name: [sorted(model.strengths), model.quality]
            for name, model in self.models.items()
            if self.input.model is not None
        }
        return {"wishes": [asked, merits]} if asked else {}

    def _forms(self) -> dict[str, Any]:
        """What answers have to be, by route, where they have to be anything."""
        forms = {route: form.model_dump(mode="json") for route in self.routes if (form := self.form(route))}
        return {"responses": forms} if forms else {}

    def _abilities(self) -> dict[str, Any]:
        """What models are declared to take, where any is; it decides which of them a record comes to."""
        keys = {"context", "vision", "json_schema", "languages"}
        declared = {
            name: found
            for name, model in self.models.items()
            if (found := model.model_dump(mode="json", include=keys, exclude_none=True))
        }
        return {"abilities": declared, "language": self.input.language} if declared else {}
