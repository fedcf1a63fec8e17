"""Values that a job file may not hold: each is refused with its line, its column and a remedy."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchroute.core.errors import JobError
from batchroute.job.loading import load_job
from batchroute.job.starter import STARTER
from tests.job.files import ENVIRON, loaded, refused, text


def problems(path: Path) -> list[str]:
    try:
        load_job(path, environ=ENVIRON)
    except JobError as error:
        return str(error).splitlines()
    return []


def model(entry: str) -> str:
    return f"models:\n  mini: {{provider: here, {entry}}}\n"


def provider(entry: str) -> str:
    return f"providers:\n  here: {{{entry}}}\n"


def prompt(entry: str) -> str:
    return f"prompt: {{{entry}}}\n"


BAD_VALUES = [
    pytest.param("job: My Job\n", "1:6: job: must be small letters", "(got My Job)", id="job-name"),
    pytest.param("window: 5\n", "1:9: window: must be at least 16 (got 5)", "", id="window-low"),
    pytest.param("window: 1000001\n", "1:9: window: must be at most 1000000", "", id="window-high"),
    pytest.param(
        'window: "100"\n',
        '1:9: window: must be a whole number (got "100")',
        "Write 100 without quotes",
        id="B110",
    ),
    pytest.param(
        "window: yes\n", "1:9: window: must be a whole number (got yes)", "plain number", id="B108-word"
    ),
    pytest.param(
        "window: true\n", "1:9: window: must be a whole number (got true)", "plain number", id="B110-bool"
    ),
    pytest.param("window: 1e3\n", "1:9: window: must be a whole number (got 1e3)", "Write 1000.", id="whole"),
    pytest.param(
        "window: [1]\n", "1:9: window: must be a whole number (got a list)", "plain number", id="list"
    ),
    pytest.param(
        model("model: 1.10"), "2:33: models.mini.model: must be text (got 1.10)", 'quotes: "1.10"', id="B109"
    ),
    pytest.param(
        model("limits: {rpm: -5}"),
        "2:40: models.mini.limits.rpm: must be greater than 0 (got -5). Write a positive number or leave it out.",
        "",
        id="B112-negative",
    ),
    pytest.param(
        model("limits: {tpm: 0}"),
        "2:40: models.mini.limits.tpm: must be greater than 0 (got 0)",
        "positive",
        id="B112-zero",
    ),
    pytest.param(
        model("limits: {concurrency: 10001}"),
        "2:48: models.mini.limits.concurrency: must be at most 10000",
        "",
        id="B133",
    ),
    pytest.param(
        model("limits: {rmp: 5}"),
        "2:35: models.mini.limits.rmp: unknown key, did you mean rpm?",
        "",
        id="B114",
    ),
    pytest.param(
        model("rpm: 5"), "2:26: models.mini.rpm: unknown key", "Write it in limits", id="B114-level"
    ),
    pytest.param(
        model("zzz: 5"), "2:26: models.mini.zzz: unknown key", "Known here: provider, model", id="B114-far"
    ),
    pytest.param(
        model("limits: 5"), "2:34: models.mini.limits: must be a mapping (got 5)", "keys", id="mapping"
    ),
    pytest.param(
        model("timeout: 30"),
        "2:35: models.mini.timeout: must be a duration with a unit (got 30)",
        "Write 30s or 30m",
        id="B132",
    ),
    pytest.param(
        model("timeout: 30 parsecs"),
        "2:35: models.mini.timeout: must be a duration (got 30 parsecs)",
        "500ms, 30s, 2m or 1h",
        id="B132-unit",
    ),
    pytest.param(
        model("timeout: 0s"), "2:35: models.mini.timeout: must be greater than 0", "", id="B132-zero"
    ),
    pytest.param(
        model("price: {input: 1}"),
        "2:26: models.mini.price.output: is missing",
        "Per million output tokens",
        id="missing",
    ),
    pytest.param(
        model("price: {input: -1, output: 1}"),
        "2:41: models.mini.price.input: must be at least 0",
        "",
        id="B122-negative",
    ),
    pytest.param(
        model("price: {input: 1, output: 10001}"),
        "2:52: models.mini.price.output: must be at most 10000",
        "",
        id="B122-high",
    ),
    pytest.param(
        model("price: {input: 0.00000025, output: 1}"),
        "2:41: models.mini.price.input: is too low",
        "Multiply",
        id="B122-low",
    ),
    pytest.param(
        model("price: {input: 0.12345678, output: 1}"),
        "2:33: models.mini.price: price 0.12345678 is finer",
        "",
        id="B122-fine",
    ),
    pytest.param(
        model('price: {input: "free", output: 1}'),
        "2:41: models.mini.price.input: must be a number",
        "plain number",
        id="B122-text",
    ),
    pytest.param(
        "models:\n  a b: {provider: here}\nroutes: {default: {models: [a b]}}\n",
        "2:3: models.a b: must be letters, digits",
        "",
        id="model-name",
    ),
    pytest.param("models: {}\n", "1:9: models: must not be empty", "Write at least one.", id="no-models"),
    pytest.param("models:\n", "1:1: models: must be a mapping (got nothing)", "", id="models-null"),
    pytest.param(
        "routes: {default: {}}\n",
        "1:10: routes.default.models: is missing",
        "Add models: Keys of `models`, the first choice first, such as [mini, large].",
        id="B117-missing",
    ),
    pytest.param(
        "routes: {default: {models: []}}\n",
        "1:28: routes.default.models: must not be empty",
        "Write at least one. Keys of `models`, the first choice first, such as [mini, large].",
        id="B117-none",
    ),
    pytest.param(
        "routes: {default: {models: mini}}\n",
        "1:28: routes.default.models: must be a list (got mini)",
        "[a, b]",
        id="route-list",
    ),
    pytest.param(
        "routes: {default: {models: [mini, mini]}}\n",
        "1:28: routes.default.models: names 'mini' twice",
        "Remove",
        id="B119",
    ),
    pytest.param(
        "routes: {a: {when: {complexity: hrad}, models: [mini]}, default: {models: [mini]}}\n",
        "1:33: routes.a.when.complexity: must be 'simple', 'medium' or 'hard'",
        "",
        id="complexity-word",
    ),
    pytest.param(
        "output: {path: out, keep: [a, a]}\n", "1:27: output.keep: names 'a' twice", "Remove", id="keep"
    ),
    pytest.param("output: {path: ~/out}\n", "1:16: output.path: must not begin with ~", "${HOME}", id="home"),
    pytest.param(
        "output: {path: 5}\n", "1:16: output.path: must be a path (got 5)", 'quotes: "5"', id="path-type"
    ),
    pytest.param(
        "input: {path: gs://bucket/a.jsonl}\n",
        "1:15: input.path: must be a path on this machine or s3://bucket/key",
        "Bring",
        id="remote",
    ),
    pytest.param(
        "input: {path: s3://Bucket/a.jsonl}\n", "1:15: input.path: must name a bucket", "Write", id="bucket"
    ),
    pytest.param(
        "input: {path: s3://bucket//a.jsonl}\n", "1:15: input.path: has a key", "Write", id="object-key"
    ),
    pytest.param(
        "input: {path: a.jsonl, storage_options: {aws_region: eu-central-1}}\n",
        "1:8: input: has storage_options without a path in object storage",
        "Remove",
        id="storage-unused",
    ),
    pytest.param(
        "input: {path: s3://bucket/a.jsonl, storage_options: {aws_access_key_id: EMPTY}}\n",
        "1:53: input.storage_options: needs both aws_access_key_id and aws_secret_access_key",
        "Add",
        id="storage-half",
    ),
    pytest.param(
        "output: {path: out, copy_to: /backup}\n",
        "1:30: output.copy_to: must name a bucket",
        "Write",
        id="copy-to",
    ),
    pytest.param('input: {path: ""}\n', '1:15: input.path: must not be empty (got "")', "", id="empty-path"),
    pytest.param('input: {path: "a\\0b"}\n', "1:15: input.path: must not hold a NUL", "", id="nul-path"),
    pytest.param('job: "\\ud800"\n', "1:6: job: must be valid Unicode", "", id="surrogate"),
    pytest.param(
        "classify: [{foo: 1}]\n", "1:12: classify[0]: is no stage: found 'foo'", "Write one of", id="stage"
    ),
    pytest.param(
        "classify: [{column: 5}]\n",
        "1:21: classify[0].column: must be text (got 5)",
        'quotes: "5"',
        id="stage-column",
    ),
    pytest.param(
        "classify: [{patterns: {a: ['(']}}]\n",
        "1:28: classify[0].patterns.a[0]: is not a regular expression",
        "",
        id="B121",
    ),
    pytest.param(
        "classify: [{sql: 'max(a) > a'}]\n",
        "1:18: classify[0].sql: looks at several records at once",
        "Use no aggregate",
        id="stage-aggregate",
    ),
    pytest.param(
        "classify: [{sql: a, confidence: 'b +'}]\n",
        "1:33: classify[0].confidence: is not an SQL expression",
        "Write one expression",
        id="stage-confidence",
    ),
    pytest.param(
        "classify: [{sql: a, threshold: 0.5}]\n",
        "1:12: classify[0]: has a threshold and nothing to compare with it",
        "Add `confidence`",
        id="stage-threshold",
    ),
    pytest.param(
        "classify: [{python: rules, columns: [a]}]\n",
        "1:21: classify[0].python: is not the name of a function (got rules)",
        "Write module:function",
        id="stage-function-form",
    ),
    pytest.param(
        "classify: [{python: 'rules:label', columns: [a]}]\n",
        "1:21: classify[0].python: finds no file",
        "Put it beside the job file",
        id="stage-function-file",
    ),
    pytest.param(
        prompt("system: a"),
        "1:9: prompt: needs one of user, messages, column and body",
        'Write user: "{{ text }}"',
        id="B139",
    ),
    pytest.param(
        prompt("user: a, body: b"),
        "1:9: prompt: needs exactly one of user, messages, column and body, but has user and body",
        "Keep one",
        id="prompt-two",
    ),
    pytest.param(
        prompt("column: a, system: b"),
        "1:9: prompt: has system without user",
        "role: system",
        id="prompt-system",
    ),
    pytest.param(
        prompt('user: ""'), "1:16: prompt.user: must not be empty", "Write a value", id="prompt-empty"
    ),
    pytest.param(
        prompt("messages: [{role: robot, content: a}]"),
        "1:28: prompt.messages[0].role: must be 'system'",
        "Write system, developer, user, assistant or tool",
        id="prompt-role",
    ),
    pytest.param(
        prompt("messages: []"),
        "1:20: prompt.messages: must not be empty",
        "Write at least one",
        id="prompt-messages",
    ),
    *(
        pytest.param(
            prompt(f"user: a, params: {{{name}: 1}}"),
            f"1:27: prompt.params: must not hold {name}",
            "Remove it",
            id=f"params-{name}",
        )
        for name in ("model", "messages", "stream", "n")
    ),
    pytest.param(
        provider(
            "kind: simulator, simulation: {models: {sim-small: {outages: [{after: 1s, for: 1s, aftr: 1s}]}}}"
        ),
        "2:92: providers.here.simulation.models.sim-small.outages[0].aftr: unknown key, did you mean after?",
        "",
        id="simulation-key",
    ),
    pytest.param("routes: {}\n", "1:9: routes: must not be empty", "Write at least one", id="no-routes"),
    pytest.param(
        provider('base_url: "http://[::1/v1", api_key: EMPTY'),
        "2:20: providers.here.base_url: must begin with https://",
        "host",
        id="B124-bracket-with-key",
    ),
    pytest.param(
        provider("kind: openai"),
        "2:9: providers.here: needs a base_url",
        "https://api.openai.com/v1",
        id="no-url",
    ),
    pytest.param(
        provider("kind: simulater"),
        "2:16: providers.here.kind: must be 'openai' or 'simulator' (got simulater)",
        "Write simulator.",
        id="kind",
    ),
    pytest.param(
        provider("kind: azure, base_url: http://a/v1"),
        "2:16: providers.here.kind: must be 'openai' or 'simulator' (got azure)",
        "Write openai for any OpenAI-compatible server, simulator for the embedded one",
        id="kind-far",
    ),
    pytest.param(
        provider("kind: simulator, base_url: http://a/v1"),
        "2:9: providers.here: is a simulator, which has no base_url",
        "Remove",
        id="simulator-url",
    ),
    pytest.param(
        provider("kind: simulator, api_key: EMPTY"),
        "2:9: providers.here: is a simulator, which has no api_key",
        "Remove",
        id="simulator-key",
    ),
    pytest.param(
        provider("base_url: http://a/v1, simulation: {}"),
        "2:9: providers.here: has simulation without kind",
        "Add the kind",
        id="simulation",
    ),
    pytest.param(
        provider("base_url: api.openai.com/v1"),
        "2:20: providers.here.base_url: must begin with https://",
        "https://host/v1",
        id="B124-scheme",
    ),
    pytest.param(
        provider("base_url: ftp://a/v1"),
        "2:20: providers.here.base_url: must begin with https://",
        "https://host/v1",
        id="B124-ftp",
    ),
    pytest.param(
        provider('base_url: "https://"'),
        "2:20: providers.here.base_url: must begin with https://",
        "host",
        id="B124-host",
    ),
    pytest.param(
        provider('base_url: "http://[::1/v1"'),
        "2:20: providers.here.base_url: must begin with https://",
        "host",
        id="B124-bracket",
    ),
    pytest.param(
        provider('base_url: "http://a:99999/v1"'),
        "2:20: providers.here.base_url: must begin with https://",
        "host",
        id="B124-port",
    ),
    pytest.param(
        provider("base_url: https://u:sentinel@a/v1"),
        "2:20: providers.here.base_url: must not hold a user name or password. ",
        "api_key",
        id="B124-password",
    ),
    pytest.param(
        provider("base_url: https://a/v1?key=sentinel"),
        "2:20: providers.here.base_url: must not hold a query or a fragment. ",
        "api_key",
        id="B124-query",
    ),
    pytest.param(
        provider('base_url: "https://a/v1 "'),
        "2:20: providers.here.base_url: must not hold blanks",
        "Remove",
        id="B124-blank",
    ),
    pytest.param(
        provider("base_url: https://a/v1/chat/completions/"),
        "2:20: providers.here.base_url: must be the root of the API",
        "Cut /chat/completions off",
        id="B125",
    ),
    pytest.param(
        provider('base_url: http://a/v1, api_key: "a b"'),
        "2:42: providers.here.api_key: holds a blank",
        "",
        id="B129-blank",
    ),
    pytest.param(
        provider('base_url: http://a/v1, api_key: ""'),
        "2:42: providers.here.api_key: must not be empty",
        "EMPTY",
        id="B129-empty",
    ),
    pytest.param(
        provider('base_url: http://a/v1, api_key: "sentinél"'),
        "2:42: providers.here.api_key: holds a blank, a line break or a letter beyond ASCII. ",
        "",
        id="B129-ascii",
    ),
    pytest.param(
        provider("base_url: http://a/v1, headers: {AUTHORIZATION: x}"),
        "2:43: providers.here.headers.AUTHORIZATION: AUTHORIZATION is set by batchroute itself",
        "api_key",
        id="B131-key",
    ),
    pytest.param(
        provider("base_url: http://a/v1, headers: {host: x}"),
        "2:43: providers.here.headers.host: host is set",
        "base_url",
        id="B131-host",
    ),
    pytest.param(
        provider('base_url: http://a/v1, headers: {x: "sentinel\\r\\nHost: b"}'),
        "2:46: providers.here.headers.x: must be one line of printable ASCII. ",
        "line break",
        id="B131-lines",
    ),
    pytest.param(
        provider('base_url: http://a/v1, headers: {"a b": x}'),
        "2:43: providers.here.headers.a b: is not the name of a header",
        "letters",
        id="B131-name",
    ),
    pytest.param(
        provider('base_url: http://a/v1, proxy: "socks5://u:sentinel@a"'),
        "2:40: providers.here.proxy: must begin with https://",
        "",
        id="proxy",
    ),
    pytest.param(
        provider("base_url: http://a/v1, transport: wires"),
        "2:44: providers.here.transport: must be 'wire' or 'sdk' (got wires)",
        "Write wire.",
        id="transport",
    ),
]


@pytest.mark.parametrize(("first", "place", "remedy"), BAD_VALUES)
def test_bad_value_is_the_one_problem_named_with_place_and_remedy(
    tmp_path: Path, first: str, place: str, remedy: str
) -> None:
    [line] = refused(tmp_path, text(first))

    assert line.startswith(f"job.yaml:{place}")
    assert remedy in line
    assert re.search(r", did you mean .+\?|\. .+\.$", line.removeprefix("job.yaml")), (
        "says what, not what to do"
    )
    assert "sentin" not in line


def test_every_problem_is_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = refused(
        tmp_path,
        text(
            "window: 3\nbaseline: nano\nclasify: []\nmodels: {mini: {provider: here, timeout: 5, limits: {rpm: a}}}\n"
        ),
    )

    assert [line.split(": ")[:2] for line in lines] == [
        ["job.yaml:1:9", "window"],
        ["job.yaml:2:11", "baseline"],
        ["job.yaml:3:1", "clasify"],
        ["job.yaml:4:42", "models.mini.timeout"],
        ["job.yaml:4:59", "models.mini.limits.rpm"],
    ]


def test_missing_section_is_named_with_what_it_is_for(tmp_path: Path) -> None:
    [line] = refused(tmp_path, text().replace("job: test\n", ""))

    assert line == "job.yaml:1:1: job: is missing. Add job: The name: small letters, digits, - and _."


def test_very_many_problems_are_cut_at_a_hundred(tmp_path: Path) -> None:
    lines = refused(tmp_path, text("".join(f"x{number}: 1\n" for number in range(150))))

    assert len(lines) == 101
    assert lines[-1] == "job.yaml: 50 more problems of this kind."


def test_values_are_shown_short_and_cannot_steer_a_terminal(tmp_path: Path) -> None:
    [line] = refused(tmp_path, text(f'job: "\\e[31m{"x" * 500}"\n'))

    assert "\x1b" not in line
    assert "\\x1b[31mxxx" in line
    assert len(line) < 250


def test_paths_are_absolute_and_relative_to_the_job_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs" / "a.yaml").write_text(
        text(
            "input: {path: '../data/*.jsonl'}\noutput: {path: ../out/a}\n"
            "providers: {here: {base_url: https://a/v1/, ca_file: ca.pem}}\n"
        )
    )

    job = load_job("jobs/a.yaml")

    assert job.input.path == str(tmp_path / "data" / "*.jsonl")
    assert job.output.path == tmp_path / "out" / "a"
    assert job.providers["here"].ca_file == tmp_path / "jobs" / "ca.pem"
    assert job.providers["here"].base_url == "https://a/v1"
    assert (job.path, job.directory) == (Path("jobs/a.yaml"), tmp_path / "jobs")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, len(STARTER)),
    length=st.integers(0, 12),
    junk=st.text(alphabet="{}[]:,&*!?|>'\"%@#- \n\t\\$~<.0aé\x00\ud800", max_size=8),
)
@example(start=0, length=0, junk="{" * 4000)
@example(start=0, length=len(STARTER), junk="")
def test_damaged_file_gives_a_job_or_an_error_on_every_line(
    tmp_path: Path, start: int, length: int, junk: str
) -> None:
    path = tmp_path / "job.yaml"
    damaged = STARTER[:start] + junk + STARTER[start + length :]
    path.write_bytes(damaged.encode(errors="surrogatepass"))

    assert all(line.startswith(f"{path}:") for line in problems(path))


def test_loads_without_problems_or_warnings(tmp_path: Path) -> None:
    assert loaded(tmp_path).warnings == ()
