"""One attempt of the driver to connect to one host."""

import errno
import getpass
import os
import ssl
from typing import TypeVar

import asyncpg

from ordergate.adapters.sql.postgres.connecting.password_file import (
    Login,
    PasswordFileIgnoredError,
    find_password_file,
    read_password,
)
from ordergate.adapters.sql.postgres.connecting.url import DatabaseUrl, write_driver_url
from ordergate.adapters.sql.postgres.errors import describe_driver_error

UNUSABLE = (OSError, asyncpg.PostgresError, asyncpg.TargetServerAttributeNotMatched)
"""Errors of a host that cannot be used; another may be."""

_ALPN = "postgresql"

_C = TypeVar("_C", bound=asyncpg.Connection)


async def dial(
    url: DatabaseUrl,
    connection_class: type[_C],
    *,
    seconds: float,
    command_seconds: float | None = None,
    options: str = "",
) -> _C:
    """Connect to the only host of a URL within `seconds`.

    `options` is the command line of the server's process. PGHOST, PGPORT and PGDATABASE are
    ignored. Raises OSError, `PostgresError` or `TargetServerAttributeNotMatched` for an unusable
    host, and `ClientConfigurationError` with a one-line message for any other mistake.
    """
    ignored = ""
    try:
        login = _read_login(url)
        _check_host(url)
        password, ignored = _find_password(url, login)
        settings = {"application_name": url.parameters.application_name, "options": options}
        connection: _C = await asyncpg.connect(
            write_driver_url(url),
            host=login.host,
            port=login.port,
            user=login.user,
            password=password,
            ssl=_make_context(url) if url.parameters.trusts_system else None,
            timeout=url.parameters.connect_seconds or seconds,
            command_timeout=command_seconds,
            server_settings={name: value for name, value in settings.items() if value},
            connection_class=connection_class,
        )
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        if ignored:
            words = f"{error.args[0]} ({error.sqlstate}); {ignored}"
            raise asyncpg.ClientConfigurationError(words) from None
        raise
    except UNUSABLE:
        raise
    except Exception as error:  # noqa: BLE001 - it raises whatever it meets, KeyError and others
        raise asyncpg.ClientConfigurationError(describe_driver_error(error)) from None
    return connection


def _make_context(url: DatabaseUrl) -> ssl.SSLContext:
    """Trust the system's certificates.

    The driver itself reads only those of a file.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols([_ALPN])
    given = url.parameters.for_driver
    if "sslcert" in given:
        password = given.get("sslpassword", "")
        context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: password)
    return context


def _read_login(url: DatabaseUrl) -> Login:
    (host,) = url.hosts
    user = url.user or os.environ.get("PGUSER") or _read_system_user()
    return Login(host=host.name, port=host.port, database=url.database, user=user)


def _check_host(url: DatabaseUrl) -> None:
    (host,) = url.hosts
    try:
        host.name.encode("idna")  # as the system's resolver is asked
    except UnicodeError:
        if not host.is_folder:
            raise OSError(errno.EINVAL, "a host's name in the URL is not valid") from None


def _read_system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise asyncpg.ClientConfigurationError(
            "the URL names no user, and the user of this process has no name"
        ) from None


def _find_password(url: DatabaseUrl, login: Login) -> tuple[str, str]:
    """Return the password, or why the password file was not used."""
    if password := url.password or os.environ.get("PGPASSWORD"):
        return password, ""
    file = find_password_file(url.parameters.passfile)
    try:
        return (read_password(file, login) if file else ""), ""
    except PasswordFileIgnoredError as error:
        return "", f"the password file {file} was not used: {error}"
