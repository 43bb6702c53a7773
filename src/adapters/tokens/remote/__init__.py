"""Documents of other issuers: metadata and keys, fetched from their addresses."""
