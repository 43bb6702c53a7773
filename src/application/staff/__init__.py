"""Use cases of staff, on the accounts and orders of others."""
