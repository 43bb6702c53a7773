"""Password hashing by bcrypt, and the list of common passwords."""
