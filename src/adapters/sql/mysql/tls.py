"""TLS of a connection, by the parameters of MySQL's clients."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from asyncmy.errors import OperationalError

from ordergate.adapters.sql.mysql.errors import TLS_FAILED


class Tls(NamedTuple):
    """The context of a connection, and whether TLS is required."""

    context: ssl.SSLContext | None
    required: bool


def read_tls(url: str) -> Tls:
    """Read `ssl-mode`, `ssl-ca`, `ssl-cert` and `ssl-key`. Raises `MySQLError` for a bad file.

    The mode is VERIFY_IDENTITY with `ssl-ca`, else PREFERRED: encrypted if the server can do so,
    without a check of its certificate. A Unix socket has no TLS.
    """
    parts = urlsplit(url)
    names = {name: values[0] for name, values in parse_qs(parts.query).items()}
    ca = names.get("ssl-ca")
    mode = names.get("ssl-mode", "VERIFY_IDENTITY" if ca else "PREFERRED")
    if mode == "DISABLED" or unquote(parts.netloc.rpartition("@")[2]).startswith("/"):
        return Tls(None, required=False)
    if mode.startswith("VERIFY"):
        with _reading("ssl-ca"):
            context = ssl.create_default_context(cafile=ca)
        context.check_hostname = mode == "VERIFY_IDENTITY"
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate := names.get("ssl-cert"):
        with _reading("ssl-cert or ssl-key"):
            context.load_cert_chain(certificate, names.get("ssl-key"))
    return Tls(context, required=mode != "PREFERRED")


@contextmanager
def _reading(parameter: str) -> Iterator[None]:
    """Name the parameter whose file cannot be used."""
    try:
        yield
    except OSError as error:  # which ssl.SSLError is too
        words = f"the file of {parameter} cannot be used: {error.strerror}"
        raise OperationalError(TLS_FAILED, f"{words}; name a readable file in PEM") from None
