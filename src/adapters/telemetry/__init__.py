"""Traces by OpenTelemetry, an extra."""
