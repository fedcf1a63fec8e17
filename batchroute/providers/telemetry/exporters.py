"""Attempts as spans and metrics of the OpenTelemetry SDK, sent by OTLP over HTTP.

The only door to opentelemetry, an extra. Where to, with which headers, how long, what share of the traces and as which
service the variables of the environment say that all SDKs know (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, ...).
"""

import os
from collections.abc import Sequence
from math import inf

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from batchroute import __version__
from batchroute.core import conventions
from batchroute.core.attempts import Attempt
from batchroute.core.conventions import Identity, Subject

_NS = 10**9
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NO_ERROR = Status(StatusCode.UNSET)
_ERROR = Status(StatusCode.ERROR)


class Exporters:
    """Sends what it is given, one request at a time; nothing here is retried but what the SDK retries by itself."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._resource = _resource()
        self._scope = InstrumentationScope("batchroute", __version__)
        self._sampler = TracerProvider(resource=self._resource, shutdown_on_exit=False).sampler
        self._spans = OTLPSpanExporter() if _wanted("OTEL_TRACES_EXPORTER") else None
        self._metrics = _Metrics(self._resource) if _wanted("OTEL_METRICS_EXPORTER") else None

    def send_spans(self, attempts: Sequence[Attempt]) -> bool:
        """Send a span for each attempt that the sampler takes; whether they were accepted."""
        spans = [span for attempt in attempts if (span := self._span(attempt)) is not None]
        if self._spans is None or not spans:
            return True
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def count(self, attempts: Sequence[Attempt]) -> None:
        """Enter attempts in the metrics, all of them."""
        if self._metrics is not None:
            for attempt in attempts:
                self._metrics.count(attempt, self._subject)

    def send_metrics(self) -> None:
        """Send the metrics as they stand."""
        if self._metrics is not None:
            self._metrics.reader.collect()

    def _span(self, attempt: Attempt) -> ReadableSpan | None:
        name = conventions.span_name(attempt, self._subject)
        attributes = conventions.span_attributes(attempt, self._subject)
        ids = Identity.of(attempt)
        sampling = self._sampler.should_sample(None, ids.trace, name, SpanKind.CLIENT, attributes)
        if sampling.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        began = round(attempt.started_at * 1e6) * 1_000  # as the ledger has it, to the microsecond
        return ReadableSpan(
            name=name,
            context=SpanContext(ids.trace, ids.span, is_remote=False, trace_flags=_SAMPLED),
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.CLIENT,
            status=_NO_ERROR if conventions.error_type(attempt) is None else _ERROR,
            start_time=began,
            end_time=began + round((attempt.latency_s or 0.0) * _NS),
            instrumentation_scope=self._scope,
        )


class _Metrics:
    def __init__(self, resource: Resource) -> None:
        self.reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=inf)
        provider = MeterProvider([self.reader], resource, shutdown_on_exit=False)
        meter = provider.get_meter("batchroute", __version__)
        self._duration = meter.create_histogram(
            conventions.DURATION,
            "s",
            "How long requests took.",
            explicit_bucket_boundaries_advisory=conventions.DURATION_BOUNDS_S,
        )
        self._tokens = meter.create_histogram(
            conventions.TOKENS,
            "{token}",
            "Tokens of requests and of answers.",
            explicit_bucket_boundaries_advisory=conventions.TOKEN_BOUNDS,
        )

    def count(self, attempt: Attempt, subject: Subject) -> None:
        attributes = conventions.metric_attributes(attempt, subject)
        if attempt.latency_s is not None:
            error = conventions.error_type(attempt)
            of_error = {} if error is None else {conventions.COLUMNS["error_type"]: error}
            self._duration.record(attempt.latency_s, {**attributes, **of_error})
        if attempt.usage is not None:
            self._tokens.record(attempt.usage.input_tokens, {**attributes, conventions.TOKEN_TYPE: "input"})
            self._tokens.record(attempt.usage.output_tokens, {**attributes, conventions.TOKEN_TYPE: "output"})


def _wanted(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() != "none"


def _resource() -> Resource:
    """Ours by name unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say something else."""
    found = Resource.create()
    name = str(found.attributes.get(SERVICE_NAME, ""))
    return (
        found.merge(Resource({SERVICE_NAME: "batchroute"})) if name.startswith("unknown_service") else found
    )
