"""Adapters of the throttle port."""
