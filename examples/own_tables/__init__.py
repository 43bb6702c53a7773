"""A table of your own beside those of Ordergate."""
