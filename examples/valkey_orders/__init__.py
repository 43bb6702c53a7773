"""Orders in Valkey, accounts and sessions in the database of Ordergate."""
