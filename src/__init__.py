"""Ordergate: an authenticated order API, in ports and adapters."""
