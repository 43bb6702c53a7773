"""Loading and copying many rows."""
