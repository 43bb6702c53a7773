"""What operators do with a storage as a whole."""
