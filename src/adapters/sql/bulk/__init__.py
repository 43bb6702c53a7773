"""Loading and copying of many rows."""
