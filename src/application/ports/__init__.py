"""The ports of the use cases, with their errors and units.

`tests/contracts` has a test suite for each port. Every adapter and every test double passes it.
"""
