"""The system's clock, threads and files."""
