"""OpenTelemetry: attempts as spans and metrics, exported by a process of its own."""
