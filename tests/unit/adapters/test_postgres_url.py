import pytest

from ordergate.adapters.sql.postgres.connecting.parameters import UrlError
from ordergate.adapters.sql.postgres.connecting.session_settings import OWN_SETTINGS
from ordergate.adapters.sql.postgres.connecting.url import (
    DatabaseUrl,
    Host,
    find_url_error,
    write_driver_url,
)
from ordergate.adapters.sql.server.connection import Keepalive

ORDERS = "postgresql://host/orders"


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
        # as the consoles of providers show them
        "postgresql://a:b@ep-1-pooler.eu.aws.neon.tech/db?sslmode=require&channel_binding=require",
        "postgresql://a:b@ep-1.neon.tech/db?sslmode=require&options=endpoint%3Dep-1",
        "postgresql://postgres.ref:b@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true",
        "postgresql://doadmin:b@db-1.ondigitalocean.com:25060/defaultdb?sslmode=require",
        "postgresql://postgres:b@/orders?host=/cloudsql/project:region:instance",
        "postgresql://alice:b@host/orders?sslmode=verify-full&sslrootcert=system",
    ],
)
def test_url_names_hosts_and_a_database(url: str) -> None:
    assert find_url_error(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:",
        "postgresql:///orders",
        "postgresql://host",
        "postgresql://host/",
        "postgresql://host/a/b",
        "postgresql://host,/orders",
        "postgresql://[::1/orders",
        "postgresql://one,[::1/orders",
        "postgresql://[1.2.3.4]/orders",
        "postgresql://one[::1]/orders",
        "postgresql://alice:hunter2@x@host/orders",
        "postgresql://alice:hunter2#x@host/orders",
        "postgresql://alice:hunter2/x@host/orders",
        "postgresql://alice:hunter2 @host/orders\n",
        "postgresql://alice:12/x?hunter2=1@host/orders",
        "postgresql://host/orders?sslmode",
        "postgresql://host/orders?application_name=hunter2%0A",
        "postgresql:///orders?host=a,b&port=1,2,3",
        "postgresql:///orders?host=a,,b",
    ],
)
def test_error_of_a_url_says_how_one_looks(url: str) -> None:
    assert find_url_error(url) == (
        "must look like postgresql://name:password@host/database, with other characters as %40"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host:hunter2/orders",
        "postgresql://one,two:999999/orders",
        "postgresql://[::1]:0/orders",
        "postgresql://host:/orders",
        "postgresql:///orders?host=a&port=hunter2",
    ],
)
def test_error_of_a_port_says_so_without_it(url: str) -> None:
    assert find_url_error(url) == "has a port that is not a number from 1 to 65535"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("sslmode=disable&sslmode=require", "names a parameter twice"),
        ("sslmode=hunter2", "has an unsupported sslmode; supported: allow, disable"),
        ("sslmode=", "has an empty sslmode"),
        ("target_session_attrs=standby", "has an unsupported target_session_attrs; supported: any"),
        ("gssencmode=require", "has an unsupported gssencmode; supported: disable, prefer"),
        (
            "sslmod=hunter2",
            "has the parameter sslmod, which is not supported; did you mean sslmode?",
        ),
        ("require_auth=hunter2", "has the parameter require_auth, which is not supported; suppor"),
        ("schema=hunter2", "has the parameter schema, which is not supported; supported: applic"),
        ("%20=hunter2", "has a parameter, which is not supported"),
        ("host=hunter2", "has a host in its address and among its parameters"),
        ("dbname=hunter2", "has a dbname in its address and among its parameters"),
        ("connect_timeout=0", "connect_timeout must be a number from 1 to 60"),
        ("connect_timeout=hunter2", "connect_timeout must be a number from 1 to 60"),
        ("keepalives_idle=-1", "keepalives_idle must be a number from 1 to 7200"),
        ("application_name=" + "hunter2" * 10, "application_name must have at most 63 bytes"),
        ("sslrootcert=system&sslmode=require", "sslrootcert=system needs sslmode=verify-full"),
        ("sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require, verify-ca, verif"),
        ("options=-chunter2", "options may have settings only, such as -csearch_path=shop"),
        ("options=-c%20jit=on", "options may not set jit, which Ordergate sets"),
        ("options=-csearch_path=a%20--lock-timeout=1", "options may not set lock_timeout"),
    ],
)
def test_error_of_a_parameter_names_it_alone(query: str, error: str) -> None:
    flaw = find_url_error(f"{ORDERS}?{query}")
    assert flaw is not None
    assert flaw.startswith(error)
    assert "hunter2" not in flaw


@pytest.mark.parametrize("setting", sorted(OWN_SETTINGS))
def test_own_setting_is_refused(setting: str) -> None:
    for written in (f"-c{setting}=1", f"-c {setting}=1", f"--{setting.replace('_', '-')}=1"):
        with pytest.raises(UrlError, match=f"options may not set {setting}"):
            DatabaseUrl.read(f"{ORDERS}?options={written.replace(' ', '%20')}")


def test_hosts_use_the_same_account() -> None:
    url = DatabaseUrl.read("postgresql://a:b%2B@one,[::1]:5433/orders?sslmode=require")
    assert [(each.hosts, each.user, each.password) for each in url.split()] == [
        ((Host("one", 5432),), "a", "b+"),
        ((Host("::1", 5433),), "a", "b+"),
    ]
    assert url.address == "one:5432,[::1]:5433/orders"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:b@one:1,two:2/orders",
        "postgresql:///orders?user=a&password=b&host=one,two&port=1,2",
        "postgresql://?dbname=orders&user=a&password=b&host=one,two&port=1,2",
    ],
)
def test_address_may_be_among_the_parameters(url: str) -> None:
    assert DatabaseUrl.read(url) == DatabaseUrl.read("postgresql://a:b@one:1,two:2/orders")


def test_folder_of_a_socket_may_contain_colons() -> None:
    url = DatabaseUrl.read("postgresql://a@/orders?host=/cloudsql/p:eu:i")
    assert url.hosts == (Host("/cloudsql/p:eu:i", 5432),)


def test_representation_has_no_password() -> None:
    url = DatabaseUrl.read("postgresql://a:hunter2@host/orders?sslpassword=hunter2")
    assert "hunter2" not in repr(url)
    assert "hunter2" not in repr(url.parameters)


def test_parameters_are_read() -> None:
    parameters = DatabaseUrl.read(
        f"{ORDERS}?application_name=till+1&connect_timeout=10&keepalives_idle=60&keepalives_count=9"
        "&tcp_user_timeout=4000&load_balance_hosts=random&options=-csearch_path%3Dshop"
        "&supa=base-pooler&pgbouncer=true"
    ).parameters
    assert parameters.application_name == "till+1"
    assert parameters.connect_seconds == 10
    assert parameters.keepalive == Keepalive(idle=60, count=9, user_timeout=4_000)
    assert parameters.is_balanced
    assert parameters.options == "-csearch_path=shop"
    assert parameters.ignored == ("pgbouncer", "supa")


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("", ""),
        ("sslmode=require", "?sslmode=require"),
        ("sslnegotiation=direct&sslmode=require", "?sslmode=require&sslnegotiation=direct"),
        ("sslrootcert=system", "?sslmode=verify-full"),
        # The driver does not bind channels: a verified certificate protects from the same attack.
        ("channel_binding=prefer&sslmode=require", "?sslmode=require"),
        ("channel_binding=require&sslmode=require", "?sslmode=verify-full"),
        (
            "channel_binding=require&sslmode=require&sslrootcert=/ca.pem",
            "?sslmode=verify-full&sslrootcert=%2Fca.pem",
        ),
        (
            "channel_binding=require&sslmode=verify-ca&sslrootcert=/ca.pem",
            "?sslmode=verify-full&sslrootcert=%2Fca.pem",
        ),
    ],
)
def test_driver_verifies_what_the_url_requires(query: str, read: str) -> None:
    assert write_driver_url(DatabaseUrl.read(f"{ORDERS}?{query}")) == f"postgresql:///orders{read}"


def test_certificates_of_the_system_vouch_for_a_bound_channel() -> None:
    for query in ("channel_binding=require", "sslrootcert=system"):
        assert DatabaseUrl.read(f"{ORDERS}?{query}").parameters.trusts_system
    assert not DatabaseUrl.read(f"{ORDERS}?sslmode=require").parameters.trusts_system
