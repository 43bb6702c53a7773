"""The life of the signing keys, as operators change it."""
