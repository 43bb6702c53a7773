import pytest

from ordergate.adapters.sql.postgres.url import split_hosts, url_error


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/orders",
        "postgresql://alice:p%40ss@host:5433/orders",
        "postgresql://alice@[::1]:5433/orders",
        "postgresql://alice:secret@one,two:5433/orders?target_session_attrs=read-write",
        "postgresql://alice:secret@host/orders?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://alice:secret@one,[::1]:5433/orders",
        "postgresql://alice@[::1],[::2]:5433,two/orders",
        "postgresql://alice@%2Frun%2Fpostgresql/orders",
    ],
)
def test_url_names_hosts_and_a_database(url: str) -> None:
    assert url_error(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:",
        "postgresql:///orders",
        "postgresql://host",
        "postgresql://host/",
        "postgresql://host/a/b",
        "postgresql://host,/orders",
        "postgresql://host:port/orders",
        "postgresql://host:999999/orders",
        "postgresql://host:0/orders",
        "postgresql://[::1/orders",
        "postgresql://one,[::1/orders",
        "postgresql://[1.2.3.4]/orders",
        "postgresql://one[::1]/orders",
        "postgresql://alice:hunter2@x@host/orders",
        "postgresql://alice:hunter2#x@host/orders",
        "postgresql://alice:hunter2/x@host/orders",
        "postgresql://alice:hunter2 @host/orders\n",
        "postgresql+asyncpg://host/orders",
        "postgresql://host/orders?sslmode",
        "postgresql://host/orders?password=hunter2",
        "postgresql://host/orders?target_session_attrs=standby",
        "postgresql://host/orders?sslmode=disable&sslmode=require",
    ],
)
def test_url_error_does_not_contain_the_url(url: str) -> None:
    flaw = url_error(url)
    assert flaw is not None
    assert flaw.startswith(("must look like postgresql://", "may have", "target_session", "sslm"))
    assert "hunter2" not in flaw


def test_hosts_use_the_same_account() -> None:
    assert split_hosts("postgresql://a:b@one,[::1]:5433/orders?sslmode=require") == [
        "postgresql://a:b@one/orders?sslmode=require",
        "postgresql://a:b@[::1]:5433/orders?sslmode=require",
    ]
