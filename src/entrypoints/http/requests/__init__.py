"""What is read of a request beside FastAPI: headers, preconditions and strict JSON."""
