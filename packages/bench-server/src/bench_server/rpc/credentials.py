"""What the rpc process shows beyond this machine; read again when its files change."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import grpc

from bench_server.certificates import Certificate, given_certificate
from bench_server.errors import CertificateError

logger = logging.getLogger("bench_server.rpc")


def server_credentials(chain: Path, key: Path) -> grpc.ServerCredentials:
    """Credentials that follow two PEM files.

    Raises:
        CertificateError: The files cannot be used.
    """
    files = _Files(given_certificate(chain, key))
    # None is taken, whatever the types say: it means that what there was still holds.
    changed = cast("Callable[[], grpc.ServerCertificateConfiguration]", files.changed)
    return grpc.dynamic_ssl_server_credentials(files.configuration(), changed)


@dataclass
class _Files:
    certificate: Certificate
    _seen: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._state()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        key, chain = self.certificate.key.read_bytes(), self.certificate.chain.read_bytes()
        return grpc.ssl_server_certificate_configuration([(key, chain)])

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC at each handshake; None: what there was still holds."""
        try:
            state = self._state()
            if state == self._seen:
                return None
            self._seen = state
            given_certificate(self.certificate.chain, self.certificate.key)
            return self.configuration()
        except (CertificateError, OSError) as error:
            logger.error("the certificate stays the old one: %s", error)
            return None

    def _state(self) -> tuple[object, ...]:
        found = [path.stat() for path in (self.certificate.chain, self.certificate.key)]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)
