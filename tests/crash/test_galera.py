"""The short form of `galera_losses.py`."""

from pathlib import Path

from tests.crash.galera_losses import lose_nodes


def test_acknowledged_orders_survive_when_galera_nodes_are_killed(
    tmp_path: Path, mariadb_program: Path, galera_provider: Path
) -> None:
    seen = lose_nodes(tmp_path, mariadb_program, galera_provider, 2)
    assert "none lost, none doubled" in seen
