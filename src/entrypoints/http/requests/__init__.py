"""Readers of requests beside FastAPI: headers, preconditions and strict JSON."""
