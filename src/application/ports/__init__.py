"""Everything the use cases need from the world: each port is a contract, errors and units included.

`tests/contracts` holds one suite for each; every adapter and every double passes it.
"""
