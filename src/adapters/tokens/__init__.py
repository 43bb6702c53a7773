"""Access tokens: JWTs, their signing keys, and one strict reader."""
