"""Signing keys: how they are read, kept, rotated and fetched."""
