"""Channels: one per process and endpoint, opened at first use, never carried over a fork."""

import os
import threading
from collections.abc import Callable
from typing import Any

import grpc

from bench_auth.calls import CHANNEL_OPTIONS, Route
from bench_auth.endpoints import Endpoint
from bench_auth.errors import CertificateError
from bench_auth.trust import Trust

_channels: dict[tuple[int, str, str | None, Trust | None], grpc.Channel] = {}
_lock = threading.Lock()


def channel_to(endpoint: Endpoint, token: str | None, trust: Trust | None = None) -> grpc.Channel:
    """The process's channel to a server; nothing but a TLS handshake is done before its first call.

    Args:
        endpoint: The server.
        token: Sent with every call, or None.
        trust: Whose certificate to take; None only where the endpoint has no TLS.

    Raises:
        CertificateError: The server's certificate will not do. That it is away is said by the first call.
    """
    key = (os.getpid(), endpoint.url, token, trust)
    with _lock:
        if key not in _channels:
            _channels[key] = _open(endpoint, token, trust)
        return _channels[key]


def close_channels() -> None:
    """Close the channels of this process."""
    with _lock:
        mine = [key for key in _channels if key[0] == os.getpid()]
        for key in mine:
            _channels.pop(key).close()


def _open(endpoint: Endpoint, token: str | None, trust: Trust | None) -> grpc.Channel:
    if endpoint.secure:
        from bench_auth.probe import diagnose  # with cryptography, which takes 0.15 s to import

        assert trust is not None
        # Before gRPC, which would try again and again, and say so on the console.
        found = diagnose(endpoint, trust.roots, trust.pin)
        if isinstance(found, CertificateError):
            raise found
        credentials = grpc.ssl_channel_credentials(trust.roots)
        channel = grpc.secure_channel(endpoint.target, credentials, options=CHANNEL_OPTIONS)
    else:
        # Loopback: a proxy of the environment would get the token in clear.
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
        channel = grpc.insecure_channel(endpoint.target, options=options)
    return grpc.intercept_channel(channel, _Caller(Route(endpoint, trust), token))


class _Details(grpc.ClientCallDetails):
    """A call's details with the token among its metadata."""

    def __init__(self, details: Any, token: str | None) -> None:
        self.method = details.method
        self.timeout = details.timeout
        bearer = (("authorization", f"Bearer {token}"),) if token else ()
        self.metadata = (*(details.metadata or ()), *bearer)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _Caller(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends a token, and notes at what may fail which way it went.

    Call credentials would refuse to send a token on a channel without TLS, and loopback has none.
    """

    def __init__(self, route: Route, token: str | None) -> None:
        self._route = route
        self._token = token

    def _call(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        outcome = go_on(_Details(details, self._token), request)
        outcome.bench_route = self._route  # the outcome of a call that fails is the error it raises
        return outcome

    def intercept_unary_unary(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)

    def intercept_unary_stream(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)

    def intercept_stream_unary(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)

    def intercept_stream_stream(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may hold the lock at a fork. The channels stay the parent's: their keys name its process.
    os.register_at_fork(after_in_child=_renew_lock)
