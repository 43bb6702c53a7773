"""Metrics and traces of the parts of a container."""
