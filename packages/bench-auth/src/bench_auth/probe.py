"""What answers at an endpoint: looked at after a call has failed, to say why, and before a pin.

Nothing secret is sent: a connection, the first bytes of HTTP/2 or a TLS handshake, and no more.
"""

import contextlib
import datetime
import re
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL, crypto

from bench_auth.certificates import anchor, fingerprint, is_valid_for, names
from bench_auth.endpoints import PORT_HINT, Endpoint
from bench_auth.errors import (
    AuthError,
    CertificateChangedError,
    CertificateError,
    UnreachableError,
    UntrustedServerError,
)

PROBE_SECONDS = 5.0
"""What has not said anything so long after a connection will not."""

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""What a client of HTTP/2 says first, with empty settings (RFC 9113, 3.4)."""

NOT_YET_VALID, ENDED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

PEM_BLOCK = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """What a server showed in a TLS handshake.

    Args:
        chain: Its certificate, and those that it says sign it.
        problems: What OpenSSL found wrong with them, by number; names are not looked at.
        has_http2: Whether it speaks HTTP/2, as gRPC does.
    """

    chain: list[x509.Certificate]
    problems: frozenset[int]
    has_http2: bool


def show(endpoint: Endpoint) -> Shown:
    """The certificate of a server with TLS, whoever signed it.

    Raises:
        UnreachableError: Nothing answers, or without TLS.
    """
    try:
        return _shake_hands(endpoint, None)
    except TimeoutError:
        raise _silent(endpoint) from None
    except OSError as error:
        raise UnreachableError(
            f"the server cannot be reached ({error.strerror or error})", hint=f"Does it run? {PORT_HINT}"
        ) from None
    except SSL.Error:
        raise _no_tls(endpoint) from None


def diagnose(endpoint: Endpoint, roots: bytes | None, pin: str | None) -> AuthError | None:
    """Why no call can be made, or None if nothing is to be seen from here: it is away, or was for a moment.

    Args:
        endpoint: The server.
        roots: PEM: whom the channel trusts; None without TLS.
        pin: The fingerprint that is pinned, if one is.
    """
    if endpoint.url.startswith("unix:"):
        return None
    try:
        if roots is None:
            return _diagnose_clear(endpoint)
        return _diagnose_certificate(endpoint, _shake_hands(endpoint, roots), pin)
    except TimeoutError:
        return _silent(endpoint)
    except SSL.Error:
        return _no_tls(endpoint)
    except OSError:
        return None


def certificate_changed(endpoint: Endpoint, pin: str, found: str) -> CertificateChangedError:
    """The error of a server with another certificate than the pinned one."""
    error = CertificateChangedError(
        f"the server at {endpoint.url} is not the one that is trusted: its certificate is {found}, "
        f"and the trusted one {pin}",
        hint="Somebody may be in between. If the server's owner confirms the new one, log in with it again.",
    )
    error.trusted, error.fingerprint = pin, found
    return error


def _diagnose_clear(endpoint: Endpoint) -> AuthError | None:
    with _connection(endpoint) as connection:
        connection.settimeout(PROBE_SECONDS)
        try:
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(64)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
    if answer.startswith((b"HTTP/", b"<")):  # a status, or, as of old, the page alone
        return _web_server(endpoint)
    if answer[3:4] == b"\4":  # settings: HTTP/2
        return None
    with contextlib.suppress(SSL.Error, OSError):
        _shake_hands(endpoint, None)
        return UnreachableError(
            f"what answers at {endpoint.url} speaks TLS",
            hint=f"Name it https://{endpoint.url.removeprefix('http://')}.",
        )
    return UnreachableError(f"what answers at {endpoint.url} is no Bench server", hint=PORT_HINT)


def _diagnose_certificate(endpoint: Endpoint, shown: Shown, pin: str | None) -> AuthError | None:
    host, certificate = endpoint.address[0], shown.chain[0]
    if shown.problems - {NOT_YET_VALID, ENDED}:
        found = fingerprint(anchor(shown.chain))
        return certificate_changed(endpoint, pin, found) if pin else _untrusted(endpoint, found)
    if shown.problems:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        now = datetime.datetime.now(datetime.timezone.utc)
        return CertificateError(
            f"the server's certificate is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, "
            f"and this machine's clock says {now:%Y-%m-%d %H:%M} UTC",
            hint="Set the clock that is wrong; if neither is, renew the certificate.",
        )
    if not is_valid_for(certificate, host):
        return CertificateError(
            f"the server's certificate is not valid for {host}, only for {', '.join(names(certificate))}",
            hint=f"Use one of these names, or start the server with --name {host}.",
        )
    return None if shown.has_http2 else _web_server(endpoint)


def _untrusted(endpoint: Endpoint, found: str) -> UntrustedServerError:
    error = UntrustedServerError(
        f"nobody whom this machine trusts vouches for the server at {endpoint.url}, "
        f"whose fingerprint is {found}",
        hint="If it is what the server printed at its start, log in with this fingerprint.",
    )
    error.fingerprint = found
    return error


def _silent(endpoint: Endpoint) -> UnreachableError:
    return UnreachableError(
        f"what answers at {endpoint.url} takes connections and says nothing", hint=PORT_HINT
    )


def _no_tls(endpoint: Endpoint) -> UnreachableError:
    return UnreachableError(
        f"what answers at {endpoint.url} speaks no TLS",
        hint=f"{PORT_HINT} On its own machine a server may be http://localhost:{endpoint.address[1]}.",
    )


def _web_server(endpoint: Endpoint) -> UnreachableError:
    return UnreachableError(f"what answers at {endpoint.url} is a web server, and no gRPC", hint=PORT_HINT)


@contextlib.contextmanager
def _connection(endpoint: Endpoint) -> Iterator[socket.socket]:
    with socket.create_connection(endpoint.address, PROBE_SECONDS) as connection:
        yield connection


def _shake_hands(endpoint: Endpoint, roots: bytes | None) -> Shown:
    problems: set[int] = set()

    def note(_connection: object, _certificate: object, problem: int, _depth: int, _ok: int) -> bool:
        problems.update({problem} - {0})
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER, note)
    context.set_alpn_protos([b"h2"])
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)  # as gRPC does: what is pinned may be no authority
    for root in PEM_BLOCK.findall(
        roots or b""
    ):  # by OpenSSL: a system's may have some that are not quite right
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, root))
    with _connection(endpoint) as raw:
        raw.setblocking(False)
        tls = SSL.Connection(context, raw)
        tls.set_connect_state()
        tls.set_tlsext_host_name(endpoint.address[0].encode("idna"))
        _finish(tls, raw)
        chain = tls.get_peer_cert_chain(as_cryptography=True) or []
        return Shown(chain, frozenset(problems), tls.get_alpn_proto_negotiated() == b"h2")


def _finish(tls: SSL.Connection, raw: socket.socket) -> None:
    deadline = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            return tls.do_handshake()
        except SSL.WantReadError:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([raw], [], [], left)[0]:
                raise TimeoutError from None
        except SSL.SysCallError as error:
            raise ConnectionResetError(*error.args) from None
