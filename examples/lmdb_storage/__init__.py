"""A whole storage in LMDB, a key-value store."""
