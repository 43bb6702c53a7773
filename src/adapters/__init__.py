"""How each port is served by a technology."""
