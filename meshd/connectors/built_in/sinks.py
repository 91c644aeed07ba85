"""The sinks that come with the daemon.

Owns: this table. Must never: import a sink.
"""

from __future__ import annotations

from meshd.connectors.built_in.settings import Specs
from meshd.sdk.connector import OBSERVABILITY

_spec = Specs(OBSERVABILITY, "meshd.connectors.observability", "sink_settings")

SINKS = (
    _spec("modelmesh.null.v1", "null:NullSink", "Nowhere"),
    _spec("modelmesh.console.v1", "console:ConsoleSink", "The terminal"),
    _spec("modelmesh.journal.v1", "journal:JournalSink", "systemd's journal"),
    _spec(
        "modelmesh.file.v1",
        "file:FileSink",
        "A file of JSON lines, rotated",
        "FileSinkSettings",
        ("modelmesh.local-file.v1",),
    ),
    _spec(
        "modelmesh.json-log.v1",
        "json_log:JsonLogSink",
        "JSON lines on standard output",
        "JsonLogSettings",
    ),
    _spec(
        "modelmesh.syslog.v1",
        "syslog.sink:SyslogSink",
        "Syslog (RFC 5424) over a UNIX socket, UDP, TCP or TLS",
        "SyslogSettings",
    ),
    _spec(
        "modelmesh.webhook.v1",
        "webhook.sink:WebhookSink",
        "Signed batches, posted to an address, kept on disk until they are delivered",
        "WebhookSettings",
    ),
    _spec(
        "modelmesh.callback.v1",
        "callback.sink:CallbackSink",
        "A Python function, called in a process of its own",
        "CallbackSettings",
    ),
    _spec(
        "modelmesh.prometheus.v1",
        "prometheus.sink:PrometheusSink",
        "Metrics for Prometheus, in a file or on a port",
        "PrometheusSettings",
    ),
    _spec(
        "opentelemetry.otlp.v1",
        "meshd.telemetry.otlp_out.sink:OtlpSink",
        "Traces, metrics and logs for OpenTelemetry, through OTLP over HTTP",
        "OtlpSettings",
    ),
)
