"""Problem details (RFC 9457): their form, their catalogue and their handlers."""
