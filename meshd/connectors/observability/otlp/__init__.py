"""OpenTelemetry: traces, metrics and logs by OTLP over HTTP."""
