"""Certificates: what of a chain is pinned, how it is named, and whom it is valid for. Pure."""

import ipaddress
import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from bench_auth.errors import CertificateError


def anchor(chain: Sequence[x509.Certificate]) -> x509.Certificate:
    """What is pinned of a chain: the authority at its end, or, if none is there, the server's certificate."""
    return chain[-1] if chain[-1].issuer == chain[-1].subject else chain[0]


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, as openssl and browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def read_fingerprint(text: str) -> str:
    """A fingerprint as people write it, with colons or without, as `fingerprint` writes it.

    Raises:
        CertificateError: It is none.
    """
    digits = text.replace(":", "").replace(" ", "").upper()
    if not re.fullmatch("[0-9A-F]{64}", digits):
        raise CertificateError(
            f"{text!r} is no fingerprint: 64 hexadecimal digits",
            hint="The server prints it at its start, on a line of its own.",
        )
    return ":".join(digits[at : at + 2] for at in range(0, 64, 2))


def pem(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def names(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses that a certificate is valid for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def is_valid_for(certificate: x509.Certificate, host: str) -> bool:
    """Whether a certificate is a host's: by name, by a wildcard for the first part, or by address."""
    present = {name.lower() for name in names(certificate)}
    try:
        return str(ipaddress.ip_address(host)) in present
    except ValueError:
        return bool({host.lower(), "*." + host.lower().partition(".")[2]} & present)
