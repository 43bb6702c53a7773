"""Keys: their formats, files, rotation and fetching."""
