"""What every test may ask for."""

import os

import pytest
from hypothesis import HealthCheck, settings

from ordergate.entrypoints.config.settings import PREFIX

pytest.register_assert_rewrite("tests.contracts")  # so that a contract's failure shows the values
pytest_plugins = ["tests.support.postgres", "tests.support.server"]

# What a developer has set is not what is tested; how fast the machine is, neither.
for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
    if name != "ORDERGATE_TEST_POSTGRES_URL":
        del os.environ[name]
settings.register_profile(
    "steady", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
