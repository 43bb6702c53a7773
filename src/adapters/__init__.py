"""Implementations of the ports, each by one technology."""
