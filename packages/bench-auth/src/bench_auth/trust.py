"""Whose certificates a channel takes."""

import os
import pkgutil
import ssl
from dataclasses import dataclass
from pathlib import Path

from bench_auth.endpoints import Endpoint
from bench_auth.errors import CertificateError
from bench_auth.settings import CA_FILE_VARIABLE, FINGERPRINT_VARIABLE


@dataclass(frozen=True)
class Trust:
    """What a channel with TLS takes.

    Args:
        roots: PEM: the certificates that may sign the server's, or be it.
        pin: The fingerprint of the only one of them, if it was pinned.
    """

    roots: bytes
    pin: str | None = None

    @property
    def certificate(self) -> str | None:
        """The pinned certificate, PEM; None if the trust is somebody else's word."""
        return self.roots.decode() if self.pin else None


def trust_for(endpoint: Endpoint, stored: str | None, given: str | None = None) -> Trust | None:
    """What to take at an endpoint; None where it has no TLS.

    Args:
        endpoint: The server. It is asked for its certificate if only a fingerprint is known.
        stored: PEM: the certificate that was pinned at the login, if one was.
        given: A fingerprint that the user has confirmed.

    Returns:
        By the first of these that is there: `given`, `$BENCH_CA_FILE`, `$BENCH_FINGERPRINT`, `stored`,
        the authorities that this system trusts.

    Raises:
        CertificateError: A file or fingerprint is none, or what answers has another certificate.
        UnreachableError: Nothing answers.
    """
    if not endpoint.secure:
        return None
    if given:
        return _pinned(endpoint, given)
    if path := os.environ.get(CA_FILE_VARIABLE):
        return Trust(_bundle(Path(path)))
    if wanted := os.environ.get(FINGERPRINT_VARIABLE):
        return _pinned(endpoint, wanted)
    if stored:
        return _stored(stored.encode())
    return Trust(_system_roots())


def _stored(certificate: bytes) -> Trust:
    from cryptography.x509 import load_pem_x509_certificate  # 0.15 s: only where there is TLS

    from bench_auth.certificates import fingerprint

    return Trust(certificate, fingerprint(load_pem_x509_certificate(certificate)))


def _pinned(endpoint: Endpoint, wanted: str) -> Trust:
    from bench_auth.certificates import anchor, fingerprint, pem, read_fingerprint
    from bench_auth.probe import certificate_changed, show

    wanted = read_fingerprint(wanted)
    found = anchor(show(endpoint).chain)
    if fingerprint(found) != wanted:
        raise certificate_changed(endpoint, wanted, fingerprint(found))
    return Trust(pem(found).encode(), wanted)


def _bundle(path: Path) -> bytes:
    try:
        ssl.create_default_context(cafile=path)
        return path.read_bytes()
    except OSError as error:
        reason = "it has no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise CertificateError(
            f"{CA_FILE_VARIABLE} names {path}: {reason}", hint="Name a PEM file of certificates, or unset it."
        ) from None


def _system_roots() -> bytes:
    path = ssl.get_default_verify_paths().cafile
    if path:
        return Path(path).read_bytes()
    bundled = pkgutil.get_data("grpc", "_cython/_credentials/roots.pem")
    assert bundled is not None
    return bundled
