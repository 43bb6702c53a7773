"""Middlewares of every request."""
