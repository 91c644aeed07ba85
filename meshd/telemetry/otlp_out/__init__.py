"""`opentelemetry.otlp.v1`: traces, metrics and logs for OpenTelemetry, encoded and sent by a process of its own."""
