"""Passwords, hashed with bcrypt."""
