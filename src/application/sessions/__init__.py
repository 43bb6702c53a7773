"""Use cases of sign-ins and sessions."""
