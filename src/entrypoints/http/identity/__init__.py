"""Routes of tokens, accounts and sessions."""
