"""The certificate and key that the server speaks TLS with: checked before it starts. ``server.py`` serves them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from serving.errors import SettingsInvalid
from serving.settings import Settings


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a certificate chain and of the private key that belongs to it."""

    certificate: Path
    key: Path


def tls_files(settings: Settings) -> TlsFiles | None:
    """``None``: no TLS. Raises ``SettingsInvalid`` when one of two is missing or they cannot be used together."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SettingsInvalid("TLS needs both files; set SERVING_TLS_CERTIFICATE and SERVING_TLS_KEY, or neither")
    for name, path in (("CERTIFICATE", certificate), ("KEY", key)):
        _check_readable(name, path)
    _check_pair(certificate, key)
    return TlsFiles(certificate, key)


def _check_readable(name: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise SettingsInvalid(f"SERVING_TLS_{name}: {path} cannot be read: {error.strerror}") from error


def _check_pair(certificate: Path, key: Path) -> None:
    try:
        # the password is asked for when the key is encrypted; without one OpenSSL would ask at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsInvalid(f"SERVING_TLS_KEY: {key} is not the key of the certificate {certificate}") from error
        raise SettingsInvalid(
            f"SERVING_TLS_CERTIFICATE, SERVING_TLS_KEY: {certificate} and {key} must be PEM files of a certificate"
            f" and its private key ({error.reason or 'cannot be read'})"
        ) from error


def _no_password() -> NoReturn:
    raise SettingsInvalid("SERVING_TLS_KEY: the key is encrypted; give one without a password")
