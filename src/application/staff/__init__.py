"""Use cases of staff, who act on the accounts and orders of others."""
