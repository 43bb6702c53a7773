"""Use cases of operators on a whole storage."""
