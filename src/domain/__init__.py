"""What an order and a user are: pure values and the rules they keep."""
