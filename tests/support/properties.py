"""Limits for property tests whose examples take long."""

from hypothesis import settings


def at_most(examples: int) -> settings:
    """Return settings with at most this number of examples."""
    return settings(max_examples=min(examples, settings().max_examples))
