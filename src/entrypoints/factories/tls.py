"""TLS by a certificate and its private key in files."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ordergate.adapters.system import files
from ordergate.entrypoints.config.loading import SettingsError
from ordergate.entrypoints.config.settings import Settings

_CERTIFICATE = "ORDERGATE_TLS_CERTIFICATE_FILE"
_KEY = "ORDERGATE_TLS_KEY_FILE"
_OTHER_KEY = {"KEY_TYPE_MISMATCH", "KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""OpenSSL's reasons for the key of another certificate; the last is for a key of another type."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of a certificate with its chain, and its key."""

    certificate: Path
    key: Path

    def make_context(self) -> ssl.SSLContext:
        """Read both files for a server of TLS 1.2 or later.

        Raises `SettingsError` with one mistake.
        """
        for name, path in ((_CERTIFICATE, self.certificate), (_KEY, self.key)):
            _require_readable(name, path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, self._refuse_encrypted_key)
        except ssl.SSLError as error:
            raise SettingsError([self._explain(error)]) from None
        return context

    def read_expiry(self) -> datetime:
        """Return when the certificate expires. Raises `SettingsError`."""
        from cryptography import x509

        _require_readable(_CERTIFICATE, self.certificate)
        try:
            chain = x509.load_pem_x509_certificates(self.certificate.read_bytes())
        except ValueError:
            raise SettingsError([self._describe_bad_certificate()]) from None
        return chain[0].not_valid_after_utc

    def _refuse_encrypted_key(self) -> str:
        """Raise an error instead of asking the terminal for a passphrase."""
        remedy = "`openssl pkey -in FILE -out FILE` writes it without a passphrase"
        raise SettingsError([f"{_KEY}: {self.key} is encrypted; {remedy}"])

    def _explain(self, error: ssl.SSLError) -> str:
        """Name the file that is wrong; OpenSSL names none."""
        if error.reason in _OTHER_KEY:
            return f"{_KEY}: {self.key} is not the key of the certificate {self.certificate}"
        try:
            self.read_expiry()
        except SettingsError as bad_certificate:
            return bad_certificate.problems[0]
        if error.reason and error.reason.startswith("EE_"):  # a weak signature or a short key
            reason = error.reason.removeprefix("EE_").replace("_", " ").lower()
            return f"{_CERTIFICATE}: OpenSSL refuses {self.certificate}: {reason}"
        return f"{_KEY}: {self.key} has no private key in PEM"

    def _describe_bad_certificate(self) -> str:
        return f"{_CERTIFICATE}: {self.certificate} has no certificate in PEM"


def find_tls_files(settings: Settings) -> TlsFiles | None:
    """Return the files that the settings name, if they do."""
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return TlsFiles(settings.tls_certificate_file.absolute(), settings.tls_key_file.absolute())


def _require_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise SettingsError([f"{name}: {path}: {files.reason(error, path)}"]) from None
