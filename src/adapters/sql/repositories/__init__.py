"""Users, sessions and orders in SQL."""
