"""The `ordergate` command."""
