"""TLS of a connection, by the parameters of MySQL's clients."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from asyncmy.errors import OperationalError

from ordergate.adapters.sql.mysql.errors import TLS_FAILED
from ordergate.adapters.sql.mysql.url import SOCKET, read_tls_parameters


class Tls(NamedTuple):
    """The context of a connection, and whether TLS is required."""

    context: ssl.SSLContext | None
    required: bool


def read_tls(url: str) -> Tls:
    """Read the parameters of TLS. Raises `MySQLError` for a bad file.

    PREFERRED is encrypted if the server can do so, without a check of its certificate.
    """
    mode, ca, certificate, key = read_tls_parameters(url)
    if mode in {"DISABLED", SOCKET}:
        return Tls(None, required=False)
    if mode.startswith("VERIFY"):
        with _reading("ssl-ca"):
            context = ssl.create_default_context(cafile=ca)
        context.check_hostname = mode == "VERIFY_IDENTITY"
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate:
        with _reading("ssl-cert or ssl-key"):
            context.load_cert_chain(certificate, key)
    return Tls(context, required=mode != "PREFERRED")


@contextmanager
def _reading(parameter: str) -> Iterator[None]:
    """Name the parameter whose file cannot be used."""
    try:
        yield
    except OSError as error:  # which ssl.SSLError is too
        words = f"the file of {parameter} cannot be used: {error.strerror}"
        raise OperationalError(TLS_FAILED, f"{words}; name a readable file in PEM") from None
