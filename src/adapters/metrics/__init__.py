"""Metrics for Prometheus, which the workers of a server keep in files."""
