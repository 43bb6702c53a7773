"""The computer's clock, threads and files."""
