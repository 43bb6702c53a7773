"""Access tokens: JWTs, the keys that sign them, and one strict reader."""
