"""Listening, HTTP/1.1 and worker processes."""
