"""The short form of `patroni_failovers.py`."""

from pathlib import Path

import pytest
import yaml

from tests.crash.patroni_cluster import SETTINGS, find_etcd
from tests.crash.patroni_failovers import lose_leaders
from tests.support.databases.database_server import NoServerError
from tests.support.programs import give_up


@pytest.fixture
def patroni() -> None:
    """Skip the test where Patroni or etcd is missing."""
    try:
        find_etcd()
    except NoServerError as error:
        give_up("patroni", str(error))


@pytest.mark.usefixtures("patroni", "postgres_binaries")
def test_acknowledged_orders_survive_when_patroni_promotes_the_standby(tmp_path: Path) -> None:
    assert "none lost, none doubled" in lose_leaders(tmp_path, 2)


def test_page_shows_the_settings_that_are_run() -> None:
    page = Path(__file__).parents[2] / "docs" / "cluster.md"
    shown = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(shown) == SETTINGS
