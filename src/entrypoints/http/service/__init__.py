"""Routes of the service itself: health and documentation."""
