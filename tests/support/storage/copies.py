"""A SQLite storage with records of every kind, for copies."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.program.command import PASSWORD, ordergate

SOURCE, TARGET = "sqlite:///.ordergate/ordergate.db", "sqlite:///moved/orders.db"


def seeded(folder: Path, orders: int, users: int = 3) -> Path:
    assert ordergate("migrate", cwd=folder).returncode == 0
    seed = ["seed", "--users", users, "--orders", orders]
    done = ordergate(*seed, cwd=folder, PASSWORD=PASSWORD, BCRYPT_COST=4)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(folder / ".ordergate" / "ordergate.db")) as database, database:
        database.executescript("""
            INSERT INTO users VALUES (7, ' closed 7', ''), (8, ' external x', '');
            INSERT INTO external_subjects VALUES ('https://id.example', 'auth0|7', 8);
            INSERT INTO sessions VALUES ('s', 1, 'shop', '192.0.2.1', '192.0.2.1', 'account',
                '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000',
                '2020-02-01 00:00:00.000000', NULL, NULL);
            INSERT INTO refresh_tokens VALUES
                (zeroblob(32), 's', '2020-01-02 00:00:00.000000', NULL, NULL);
            INSERT INTO idempotency_keys
                SELECT 1, 'a wish', min(id), '2020-01-02 00:00:00.000000' FROM orders
                WHERE owner_id = 1;
        """)
    return folder
