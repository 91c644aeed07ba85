"""What Prometheus and OpenTelemetry read: counters and histograms since the start, with a bounded number of labels."""
