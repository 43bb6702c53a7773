"""Configure every test: settings, Hypothesis and shared fixtures."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from ordergate.entrypoints.config.environment import PREFIX

pytest.register_assert_rewrite("tests.contracts")  # so that a contract's failure shows the values
pytest_plugins = [
    "tests.support.program.captured_output",
    "tests.support.databases.mariadb",
    "tests.support.databases.galera",
    "tests.support.databases.postgres",
    "tests.support.security_promises",
    "tests.support.program.server",
]

# Settings of the developer's environment are removed, and slow machines are accepted.
for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
    if name not in {"ORDERGATE_TEST_MYSQL_URL", "ORDERGATE_TEST_POSTGRES_URL"}:
        del os.environ[name]
# A job in the background of a script ignores SIGINT. Programs that the tests start must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "ci",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("dev", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
