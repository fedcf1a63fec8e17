"""`run --otel` against receivers on loopback: what they get, and what a run suffers from those that fail."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from batchroute.core.conventions import COLUMNS, DURATION, TOKEN_TYPE, TOKENS
from batchroute.report.scans import scan_ledger
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, started
from tests.cli.receivers import HANG, Receiver, Reply, always, completion, receiving

PLAIN = sorted(COLUMNS.keys() - {"finish_reason", "service_tier"})
REFUSED = "http://127.0.0.1:9"
FLAKY = {
    "latency": {"p50": "5ms", "p95": "10ms"},
    "price": {"input": 1, "output": 2},
    "errors": {"overloaded": 0.2, "malformed": 0.1},
}


def flaky_job(folder: Path, **fields: Any) -> Path:
    """A model that fails now and then before one that does not."""
    plain = {"latency": {"p50": "5ms", "p95": "5ms"}, "price": {"input": 3, "output": 6}}
    simulation = {"seed": 3, "models": {"small": FLAKY, "large": plain}}
    return write_job(
        folder, providers={"sim": {"kind": "simulator", "simulation": simulation}}, **{"count": 700, **fields}
    )


def attributes(told: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in told:
        kind = each.value.WhichOneof("value")
        assert kind is not None
        value = getattr(each.value, kind)
        found[each.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


def spans(receiver: Receiver) -> list[Span]:
    return [
        span
        for received in receiver.received
        if received.path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(received.body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def histograms(receiver: Receiver) -> dict[str, list[HistogramDataPoint]]:
    """The points of the last export: they are sums since the run began."""
    *_, last = (each for each in receiver.received if each.path == "/v1/metrics")
    return {
        metric.name: list(metric.histogram.data_points)
        for resource in ExportMetricsServiceRequest.FromString(last.body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def run(job: Path, receiver: str, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver
    return batchroute("run", job, "--otel", *more, timeout_s=60, **variables)


def test_every_attempt_is_one_span_with_what_the_ledger_tells(tmp_path: Path) -> None:
    with receiving(always(Reply())) as receiver:
        ran = run(flaky_job(tmp_path), receiver.url, "--json")

    assert (ran.returncode, ran.stderr) == (0, "")
    ledger = scan_ledger(tmp_path / "out").with_columns(pl.col("started_at").to_physical()).collect()
    told = [(span, attributes(span.attributes)) for span in spans(receiver)]
    assert len(told) == ledger.height > 800
    assert len({span.span_id for span, _ in told}) == len(told)
    by_attempt = {(own["batchroute.record_id"], own["batchroute.attempt"]): (span, own) for span, own in told}
    for row in ledger.iter_rows(named=True):
        span, own = by_attempt[row["record_id"], row["attempt"]]
        assert {name: own.get(COLUMNS[name]) for name in PLAIN} == {name: row[name] for name in PLAIN}
        assert own.get(COLUMNS["finish_reason"]) == (row["finish_reason"] and [row["finish_reason"]])
        assert own["gen_ai.provider.name"] == "sim"
        assert own["batchroute.cost_usd"] == pytest.approx(float(row["cost_usd"]))
        assert span.start_time_unix_nano == row["started_at"] * 1_000
        took_s = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        assert took_s == pytest.approx(row["latency_s"], abs=1e-6)
        assert (span.name, span.kind) == (f"chat {row['request_model']}", Span.SPAN_KIND_CLIENT)
        assert (span.status.code == 2) == (row["outcome"] != "ok")
    traces = {(span.trace_id, own["batchroute.record_id"]) for span, own in told}
    assert len(traces) == len({trace for trace, _ in traces}) == 700
    count_all_attempts_and_their_tokens(histograms(receiver), ledger)


def count_all_attempts_and_their_tokens(
    found: dict[str, list[HistogramDataPoint]], ledger: pl.DataFrame
) -> None:
    assert set(found) == {DURATION, TOKENS}
    by_end = Counter[tuple[str, str | None]]()
    for point in found[DURATION]:
        own = attributes(point.attributes)
        by_end[own["gen_ai.request.model"], own.get("error.type")] += point.count
    assert by_end == Counter(ledger.select("request_model", "error_type").iter_rows())
    assert sum(point.sum for point in found[DURATION]) == pytest.approx(ledger["latency_s"].sum())
    for kind in ("input", "output"):
        points = [each for each in found[TOKENS] if attributes(each.attributes)[TOKEN_TYPE] == kind]
        assert sum(each.sum for each in points) == ledger[f"{kind}_tokens"].sum() > 0
    assert list(found[TOKENS][0].explicit_bounds)[:3] == [1, 4, 16]
    assert list(found[DURATION][0].explicit_bounds)[:3] == [0.01, 0.02, 0.04]


def test_neither_texts_nor_keys_leave_by_that_way(tmp_path: Path) -> None:
    with (
        receiving(always(completion("an answer of gold"))) as provider,
        receiving(always(Reply())) as receiver,
    ):
        job = write_job(
            tmp_path,
            count=20,
            prompt={"system": "wisdom of the ancients", "user": "{{ text }}"},
            providers={"p": {"base_url": f"{provider.url}/v1", "api_key": "${KEY}"}},
            models={"m": {"provider": "p", "price": {"input": 1, "output": 2}}},
            routes={"default": {"models": ["m"]}},
            baseline="m",
        )
        ran = run(job, receiver.url, "--quiet", KEY="sk-0123456789abcdefghij")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(spans(receiver)) == 20
    assert attributes(spans(receiver)[0].attributes)["server.address"] == "127.0.0.1"
    sent = b"".join(each.body + repr(each.headers).encode() for each in receiver.received)
    assert b"r19" in sent
    assert [word for word in (b"gold", b"ancients", b"question", b"sk-01") if word in sent] == []


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        pytest.param(None, "Connection refused", id="nobody listens"),
        pytest.param(HANG, "before all was taken", id="it hangs"),
        pytest.param(Reply(status=401), "401", id="it refuses"),
    ],
)
def test_a_receiver_that_fails_is_told_of_once_and_nothing_else_changes(
    tmp_path: Path, reply: Reply | None, why: str
) -> None:
    job = flaky_job(tmp_path, count=300)
    with receiving(always(reply or Reply())) as receiver:
        began = time.monotonic()
        ran = run(job, receiver.url if reply else REFUSED, "--json")
        took_s = time.monotonic() - began

    told = json.loads(ran.stdout)
    assert ran.returncode == told["exit_code"] == 0
    assert told["records"]["succeeded"] == 300
    (line,) = [line for line in ran.stderr.splitlines() if "otel" in line]
    assert "attempt(s) are not exported" in line
    assert pl.Series([line]).str.contains(why).item(), line
    assert (
        took_s - told["duration_s"] < 15
    )  # of a whole process on a busy machine; the SDK itself tries for longer


def test_a_receiver_of_spans_alone_is_told_of_once(tmp_path: Path) -> None:
    """Such as one for traces: it knows no other path."""
    with receiving(lambda asked: Reply(status=200 if asked.path == "/v1/traces" else 404)) as receiver:
        job = write_job(tmp_path, count=50)
        ran = run(job, receiver.url, "--quiet")
        of_spans = run(job, receiver.url, "--quiet", "--fresh", OTEL_METRICS_EXPORTER="none")

    (line,) = ran.stderr.splitlines()
    assert "metrics" in line
    assert "404" in line
    assert (ran.returncode, of_spans.returncode, of_spans.stderr) == (0, 0, "")
    assert len(spans(receiver)) == 100


def test_a_receiver_that_comes_late_misses_nothing_that_is_tried_again(tmp_path: Path) -> None:
    """The first request is turned away for a moment: the SDK repeats it."""
    replies = iter([Reply(status=503, headers={"retry-after": "0"})])
    with receiving(lambda _: next(replies, Reply())) as receiver:
        ran = run(write_job(tmp_path, count=50), receiver.url, "--json")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert len({span.span_id for span in spans(receiver)}) == 50


def test_a_share_of_the_traces_and_all_of_the_metrics(tmp_path: Path) -> None:
    sampled = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.2"}
    with receiving(always(Reply())) as receiver:
        ran = run(flaky_job(tmp_path), receiver.url, "--quiet", **sampled)

    assert (ran.returncode, ran.stderr) == (0, "")
    ledger = scan_ledger(tmp_path / "out").collect()
    taken = {attributes(span.attributes)["batchroute.record_id"] for span in spans(receiver)}
    assert 70 < len(taken) < 210
    assert len(spans(receiver)) == ledger.filter(pl.col("record_id").is_in(list(taken))).height
    assert sum(point.count for point in histograms(receiver)[DURATION]) == ledger.height


def test_an_interrupted_run_tells_what_was_in_flight(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=4_000, latency="50ms", concurrency=32)
    with receiving(always(Reply())) as receiver:
        process = started("run", job, "--otel", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        assert receiver.arrived.wait(30)
        process.send_signal(2)
        out, err = process.communicate(timeout=40)

    assert json.loads(out)["exit_code"] == 130
    assert [line for line in err.splitlines() if not line.startswith("test: stopping; ")] == []
    ledger = scan_ledger(tmp_path / "out").collect()
    assert len(spans(receiver)) == ledger.height < 4_000


WITHOUT = """
import importlib.metadata as metadata
known = metadata.version
def version(name):
    if name.startswith("opentelemetry"):
        raise metadata.PackageNotFoundError(name)
    return known(name)
metadata.version = version
from batchroute.cli.main import main
main()
"""


def test_without_the_extra_nothing_is_sent(tmp_path: Path) -> None:
    with receiving(always(completion())) as provider:
        job = write_job(
            tmp_path,
            providers={"p": {"base_url": f"{provider.url}/v1", "api_key": "a-key"}},
            models={"m": {"provider": "p", "price": {"input": 1, "output": 2}}},
            routes={"default": {"models": ["m"]}},
            baseline="m",
        )
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT, "run", str(job), "--otel"],
            env={**os.environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ran.returncode == 2
    assert "pip install 'batchroute[opentelemetry]' [otel_extra]" in ran.stderr
    assert provider.received == []


def test_the_run_itself_imports_nothing_of_opentelemetry(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=1)
    with receiving(always(Reply())) as receiver:
        done = subprocess.run(
            [
                sys.executable,
                "-X",
                "importtime",
                "-m",
                "batchroute.cli.main",
                "run",
                str(job),
                "--otel",
                "--json",
            ],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert len(spans(receiver)) == 1
    assert "batchroute.engine.telling" in done.stderr
    assert "opentelemetry" not in done.stderr
