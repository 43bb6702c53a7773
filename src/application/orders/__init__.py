"""What callers and staff do with orders."""
