"""Endpoints: URLs that say where a server is and whether the way there is safe."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench_auth.errors import EndpointError

EXAMPLES = "Such as http://localhost:8470, https://bench.example.org:8470 or unix:/path/to/rpc.sock."

PORT_HINT = "Does the endpoint name the server's gRPC port, 8470 unless set otherwise?"


@dataclass(frozen=True)
class Endpoint:
    """Where a server is.

    Args:
        url: As a user writes it, normalised; names the server in the credential file.
        target: As gRPC writes it.
        secure: Whether the way there is encrypted.
    """

    url: str
    target: str
    secure: bool

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; not of a Unix socket."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


def parse_endpoint(text: str) -> Endpoint:
    """Read an endpoint.

    Args:
        text: `unix:PATH`, `http://HOST:PORT` for loopback only, or `https://HOST:PORT`.

    Raises:
        EndpointError: It is none, or would send secrets in clear to another machine.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise EndpointError(f"{text!r} has no absolute path", hint=EXAMPLES)
        return Endpoint(f"unix:{path}", f"unix:{path}", secure=False)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EndpointError(f"{text!r} is no URL: {error}", hint=EXAMPLES) from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not host or port is None or extra:
        raise EndpointError(f"{text!r} is no endpoint", hint=EXAMPLES)
    if parts.scheme == "http" and not _is_loopback(host):
        raise EndpointError(
            f"{text!r} would send the password in clear to another machine", hint="Use https:// there."
        )
    shown = f"[{host}]" if ":" in host else host
    return Endpoint(f"{parts.scheme}://{shown}:{port}", f"dns:///{shown}:{port}", parts.scheme == "https")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
