"""Orders and users: pure values and their rules."""
