"""Channels: one per process and endpoint, opened at first use, never carried over a fork."""

import os
import threading
from collections.abc import Callable
from typing import Any

import grpc

from bench_auth.calls import CHANNEL_OPTIONS
from bench_auth.endpoints import Endpoint

_channels: dict[tuple[int, str, str | None], grpc.Channel] = {}
_lock = threading.Lock()


def channel_to(endpoint: Endpoint, token: str | None) -> grpc.Channel:
    """The process's channel to a server; nothing is sent before its first call.

    Args:
        endpoint: The server.
        token: Sent with every call, or None.
    """
    key = (os.getpid(), endpoint.url, token)
    with _lock:
        if key not in _channels:
            _channels[key] = _open(endpoint, token)
        return _channels[key]


def close_channels() -> None:
    """Close the channels of this process."""
    with _lock:
        mine = [key for key in _channels if key[0] == os.getpid()]
        for key in mine:
            _channels.pop(key).close()


def _open(endpoint: Endpoint, token: str | None) -> grpc.Channel:
    if endpoint.secure:
        credentials = grpc.ssl_channel_credentials()
        channel = grpc.secure_channel(endpoint.target, credentials, options=CHANNEL_OPTIONS)
    else:
        # Loopback: a proxy of the environment would get the token in clear.
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0)]
        channel = grpc.insecure_channel(endpoint.target, options=options)
    return grpc.intercept_channel(channel, _Bearer(token)) if token else channel


class _Details(grpc.ClientCallDetails):
    """A call's details with the token among its metadata."""

    def __init__(self, details: Any, token: str) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), ("authorization", f"Bearer {token}"))
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends a token. Call credentials would refuse to on a channel without TLS, and loopback has none."""

    def __init__(self, token: str) -> None:
        self._token = token

    def intercept_unary_unary(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return go_on(_Details(details, self._token), request)

    def intercept_unary_stream(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return go_on(_Details(details, self._token), request)

    def intercept_stream_unary(self, go_on: Callable[[Any, Any], Any], details: Any, requests: Any) -> Any:
        return go_on(_Details(details, self._token), requests)

    def intercept_stream_stream(self, go_on: Callable[[Any, Any], Any], details: Any, requests: Any) -> Any:
        return go_on(_Details(details, self._token), requests)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may hold the lock at a fork. The channels stay the parent's: their keys name its process.
    os.register_at_fork(after_in_child=_renew_lock)
