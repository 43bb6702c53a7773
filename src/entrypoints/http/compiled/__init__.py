"""Routes that resolve their dependencies at startup."""
