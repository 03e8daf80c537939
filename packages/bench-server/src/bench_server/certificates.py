"""The certificate that the server shows beyond this machine: its own, or one that it was given.

tls/authority.pem, tls/authority.key   the server's own certificate authority, made once: what clients pin
tls/server.pem                         key, certificate and authority: one file, so that they change together
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench_core import atomic_write
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bench_server.data_folder import DataFolder
from bench_server.errors import CertificateError

SERVER_DAYS = 398
"""Of a certificate; browsers take none that lasts longer."""

RENEW_DAYS = 30
"""A certificate is renewed when so little of its time is left."""

SKEW = datetime.timedelta(days=2)
"""A certificate begins so long before it is made: a client's clock may be behind by hours."""

AUTHORITY_TIMES = datetime.datetime(2020, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)
"""Of an authority: whatever a clock says. The second is RFC 5280's way to say that it does not end."""


@dataclass(frozen=True)
class Certificate:
    """A certificate in files, as TLS servers want them.

    Args:
        chain: PEM: the certificate, then those that sign it.
        key: PEM: its private key. It may be the same file.
        fingerprint: What clients compare and pin: as `openssl x509 -fingerprint -sha256` writes it.
    """

    chain: Path
    key: Path
    fingerprint: str


def own_certificate(folder: DataFolder, names: Sequence[str]) -> Certificate:
    """The server's own certificate, made or renewed if need be. Only for who holds the server's lock.

    Args:
        folder: The server's folder.
        names: Host names and IP addresses that it must have.

    Raises:
        CertificateError: The files are damaged, or a name is none.
        OSError: The files cannot be written.
    """
    tls = folder.path / "tls"
    tls.mkdir(mode=0o700, exist_ok=True)
    authority, key = _authority(tls, folder.server_id)
    path, wanted = tls / "server.pem", {_general_name(name) for name in names}
    now = _now()
    if not _still_good(path, authority, wanted, now):
        _write_server(path, (authority, key), wanted, now)
    return Certificate(path, path, fingerprint(authority))


def given_certificate(chain: Path, key: Path) -> Certificate:
    """A certificate of the user's own.

    Args:
        chain: PEM: the certificate, then those that sign it.
        key: PEM: its private key, not encrypted.

    Raises:
        CertificateError: They cannot be read, do not belong together, or have ended.
    """
    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except OSError as error:
        raise CertificateError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"{chain} and {key} are no certificate and key: {error}",
            hint="Both must be PEM, the key without a password.",
        ) from None
    if certificates[0].public_key() != private.public_key():
        raise CertificateError(
            f"{key} is not the key of the certificate in {chain}",
            hint="In the file, the server's own certificate comes first, then those that sign it.",
        )
    if (end := certificates[0].not_valid_after_utc) <= _now():
        raise CertificateError(
            f"the certificate in {chain} ended at {end:%Y-%m-%d %H:%M} UTC", hint="Renew it."
        )
    return Certificate(chain, key, fingerprint(anchor(certificates)))


def anchor(chain: Sequence[x509.Certificate]) -> x509.Certificate:
    """What a client pins of a chain: the authority at its end, or, without one, the certificate itself."""
    return chain[-1] if chain[-1].issuer == chain[-1].subject else chain[0]


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, as openssl and browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _authority(tls: Path, server_id: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = tls / "authority.pem", tls / "authority.key"
    if not path.exists():  # it is written last
        _write_authority(path, key_path, server_id)
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _damaged(tls) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise _damaged(tls)
    return certificate, key


def _damaged(tls: Path) -> CertificateError:
    return CertificateError(
        f"the server's certificate authority in {tls} is damaged",
        hint="Restore it from a backup; or remove the folder, and every client must trust the server anew.",
    )


def _write_authority(path: Path, key_path: Path, server_id: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(f"Bench server {server_id}")
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    begin, end = AUTHORITY_TIMES
    certificate = (
        _builder(name, name, key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    atomic_write(key_path, _pem(key), mode=0o600)
    atomic_write(path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _write_server(
    path: Path,
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    names: set[x509.GeneralName],
    now: datetime.datetime,
) -> None:
    signer, signing_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    begin = now - SKEW
    end = begin + datetime.timedelta(days=SERVER_DAYS)
    certificate = (
        _builder(_subject("Bench server"), signer.subject, key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(sorted(names, key=repr)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
        .sign(signing_key, hashes.SHA256())
    )
    chain = [found.public_bytes(serialization.Encoding.PEM) for found in (certificate, signer)]
    atomic_write(path, b"".join([_pem(key), *chain]), mode=0o600)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _still_good(
    path: Path, authority: x509.Certificate, names: set[x509.GeneralName], now: datetime.datetime
) -> bool:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        found.verify_directly_issued_by(authority)
        present = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - now
    return (
        names <= set(present)
        and found.not_valid_before_utc <= now
        and left > datetime.timedelta(days=RENEW_DAYS)
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.lower())
    except ValueError:
        raise CertificateError(
            f"{name!r} is no name for a certificate", hint="Write it as DNS does, in ASCII."
        ) from None
