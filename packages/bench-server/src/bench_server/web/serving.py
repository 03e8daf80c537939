"""The HTTP server: Django by ASGI."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from django.core.asgi import get_asgi_application

from bench_server.certificates import given_certificate
from bench_server.child import DRAIN_SECONDS
from bench_server.errors import CertificateError, StartError
from bench_server.web import live
from bench_server.web.pages import all_pages

logger = logging.getLogger("bench_server.web")

BODY_BYTES = 1 << 20
"""Of a request: forms are small, and Django would put a larger one on the disk before anybody looks at it."""

CONNECTIONS = 512
"""At a time; more are answered 503. Every file of a preview is one."""

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Coroutine[Any, Any, None]]


class WebServer:
    """A server that listens.

    Args:
        addresses: Where: "HOST:PORT" each.
        certificate: PEM files of a certificate and of its key; None: HTTP without TLS.

    Raises:
        StartError: An address cannot be had, or the certificate cannot be used.
        AttributeError: A page has no rule.
    """

    def __init__(self, addresses: Sequence[str], certificate: tuple[Path, Path] | None = None) -> None:
        all_pages()
        certificate_file, key_file = certificate or (None, None)
        config = uvicorn.Config(
            limit_body(get_asgi_application()),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # whoever calls from this machine could say to be elsewhere
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=int(DRAIN_SECONDS),
            ssl_certfile=certificate_file,
            ssl_keyfile=key_file,
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            raise StartError(f"the certificate {certificate_file} cannot be used: {error}") from None
        if certificate and config.ssl:
            config.ssl.sni_callback = _Following(*certificate)
        listening = [_listen(address) for address in addresses]
        self._server = uvicorn.Server(config)
        live.closing.clear()
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": listening})
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """Take no more requests, and let those that run finish."""
        live.closing.set()
        self._server.should_exit = True
        self._thread.join()


class _Following:
    """Called at each handshake; a certificate whose files have changed is shown from the next one on."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = (chain, key)
        self._seen = self._state()

    def __call__(self, connection: object, name: str | None, context: ssl.SSLContext) -> None:
        try:
            state = self._state()
            if state != self._seen:
                self._seen = state
                found = given_certificate(*self._files)
                context.load_cert_chain(found.chain, found.key)
        except (CertificateError, OSError) as error:
            logger.error("the certificate stays the old one: %s", error)

    def _state(self) -> tuple[object, ...]:
        found = [path.stat() for path in self._files]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host), backlog=1024)
    except (OSError, OverflowError) as error:  # the port after 65535
        raise StartError(
            f"cannot listen on {address}: {getattr(error, 'strerror', None) or error}",
            hint="Is another server there? Name another port with --web-port.",
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def limit_body(app: App) -> App:
    """Refuse requests with more than BODY_BYTES: 413 where they say so, else by cutting them off."""

    async def limited(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > BODY_BYTES:
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": b"The request is too large.\n"})
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message if received <= BODY_BYTES else {"type": "http.disconnect"}

        await app(scope, counted, send)

    return limited
