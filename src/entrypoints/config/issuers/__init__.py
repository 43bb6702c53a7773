"""The settings for tokens of another issuer, and their types."""
