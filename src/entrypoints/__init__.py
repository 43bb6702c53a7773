"""How the world comes in: HTTP, the command line, and the wiring."""
