"""What benchmarks are made with: places to run, figures, counts, and an upstream that keeps time."""
