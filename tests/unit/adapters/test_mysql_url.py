import pytest
from asyncmy.errors import OperationalError

from ordergate.adapters.sql.mysql.errors import UnusableServerError
from ordergate.adapters.sql.mysql.session import check_version, session_settings
from ordergate.adapters.sql.mysql.tls import read_tls
from ordergate.adapters.sql.mysql.url import find_address, find_url_error, split_hosts


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/orders",
        "mariadb://alice:p%40ss@host:3307/orders",
        "mariadb://alice:secret@one,[::1]:3307/orders?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/ca.pem",
        "mysql://alice@%2Frun%2Fmysqld%2Fmysqld.sock/orders",
    ],
)
def test_url_names_hosts_and_a_database(url: str) -> None:
    assert find_url_error(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "mysql:",
        "mariadb:///orders",
        "mariadb://host",
        "mysql://alice:hunter2@x@host/orders",
        "mariadb://alice:12/x?hunter2=1@host/orders",
        "mariadb://host/orders?password=hunter2",
        "mariadb://host/orders?ssl-mode=verify",
    ],
)
def test_url_error_does_not_contain_the_url(url: str) -> None:
    flaw = find_url_error(url)
    assert flaw is not None
    assert flaw.startswith(("must look like m", "has the parameter password, ", "ssl-mode must be"))
    assert "hunter2" not in flaw


@pytest.mark.parametrize(
    ("query", "flaw"),
    [
        (
            "ssl-ca=/ca.pem&ssl-mode=REQUIRED",
            "has ssl-ca, which is not used with ssl-mode=REQUIRED; use VERIFY_IDENTITY",
        ),
        ("ssl-key=/k.pem", "has ssl-key without ssl-cert; name the file of the certificate, too"),
        (
            "ssl-cert=/c.pem&ssl-mode=DISABLED",
            "has ssl-cert, which is not used with ssl-mode=DISABLED; leave one out",
        ),
        ("ssl-ca=/ca.pem", None),
        ("ssl-ca=/ca.pem&ssl-mode=VERIFY_CA", None),
        ("ssl-cert=/both.pem", None),
    ],
)
def test_file_for_tls_without_effect_is_refused(query: str, flaw: str | None) -> None:
    assert find_url_error(f"mariadb://host/orders?{query}") == flaw


def test_file_for_tls_on_a_socket_is_refused() -> None:
    flaw = "has ssl-ca, which is not used on a Unix socket; leave it out"
    assert find_url_error("mysql://alice@%2Frun%2Fsocket/orders?ssl-ca=/ca.pem") == flaw
    assert find_url_error("mysql://alice@%2Frun%2Fsocket,host/orders?ssl-ca=/ca.pem") is None


@pytest.mark.parametrize("host", ["host:hunter2", "one,two:65536", "[::1]:0", "host:"])
def test_error_of_a_port_says_so_without_it(host: str) -> None:
    flaw = find_url_error(f"mariadb://{host}/orders")
    assert flaw == "has a port that is not a number from 1 to 65535"


def test_hosts_have_the_account_and_the_default_port() -> None:
    url = "mariadb://a:b@one,[::1]:3307/orders?ssl-mode=REQUIRED"
    assert split_hosts(url) == [
        "mariadb://a:b@one/orders?ssl-mode=REQUIRED",
        "mariadb://a:b@[::1]:3307/orders?ssl-mode=REQUIRED",
    ]
    assert find_address(url) == "one:3306,[::1]:3307/orders"


def test_tls_is_verified_as_the_mode_says() -> None:
    assert read_tls("mysql://host/orders?ssl-mode=DISABLED") == (None, False)
    assert read_tls("mysql://%2Frun%2Fsocket/orders?ssl-mode=PREFERRED") == (None, False)
    modes = {
        "PREFERRED": (False, False, False),
        "REQUIRED": (False, False, True),
        "VERIFY_CA": (True, False, True),
        "VERIFY_IDENTITY": (True, True, True),
    }
    for mode, expected in modes.items():
        context, required = read_tls(f"mysql://host/orders?ssl-mode={mode}")
        assert context
        assert (bool(context.verify_mode), context.check_hostname, required) == expected
    with pytest.raises(OperationalError, match="ssl-ca cannot be used: No such file"):
        read_tls("mysql://host/orders?ssl-ca=/not/there.pem")


@pytest.mark.parametrize(
    "version",
    [
        "5.5.5-10.11.19-MariaDB-0+deb12u1",
        "5.5.5-10.6.2-MariaDB",
        "11.4.2-MariaDB",
        "8.0.36",
        "8.4.0",
    ],
)
def test_version_is_accepted(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize(
    "version", ["5.5.5-10.5.20-MariaDB", "10.6.1-MariaDB", "8.0.16", "5.7.44-log"]
)
def test_older_version_is_refused(version: str) -> None:
    with pytest.raises(UnusableServerError, match="is the oldest version; upgrade the server"):
        check_version(version)


def test_session_has_the_settings_of_its_engine() -> None:
    mysql = session_settings("8.4.0", 5)
    assert "transaction_isolation = 'READ-COMMITTED'" in mysql
    assert "collation_connection = utf8mb4_0900_bin" in mysql
    assert "max_execution_time = 5000" in mysql
    assert "max_statement_time" not in mysql
    unlimited = session_settings("10.11.19-MariaDB", 0)
    assert "max_statement_time = 0" in unlimited
    assert "idle_transaction_timeout" not in unlimited
