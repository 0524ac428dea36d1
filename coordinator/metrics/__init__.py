"""Metrics for Prometheus and traces for OpenTelemetry. See README.md."""
