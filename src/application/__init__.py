"""What the system does: use cases, and the ports they need."""
