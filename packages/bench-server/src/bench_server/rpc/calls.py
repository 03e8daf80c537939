"""One call: who makes it, whether they may (access.py), and what a failure looks like on the wire."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import grpc
from django.db import OperationalError, close_old_connections
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from bench_server.access import Caller, Rule, admit
from bench_server.accounts import services as accounts
from bench_server.errors import Refused, invalid

logger = logging.getLogger("bench_server.rpc")

THREADS = 128
"""Calls at a time. Each waits for the database or the disk for most of its life."""

STREAMS = 96
"""Streams at a time: they last, and must leave threads for the other calls."""

MESSAGE_CHARACTERS = 1000
"""Of a refusal's message: trailers have 8 KiB in all."""

RECHECK_SECONDS = 5.0
"""How often a stream's token is looked at again."""

_streams = threading.BoundedSemaphore(STREAMS)
_streams_of_attempts = threading.BoundedSemaphore(STREAMS)


def check(rule: Rule, request: Any, context: grpc.ServicerContext) -> Caller:
    """Keep a rule.

    Raises:
        Refused: The caller may not make this call.
    """
    address = address_of(context.peer())
    if rule is Rule.OPEN:
        return Caller(address)
    token = accounts.find_token(_bearer(context))
    return admit(rule, address, token, request.project_id if rule.is_about_a_project else "")


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer: "unix", or an IP address."""
    kind, _, rest = peer.partition(":")
    if kind == "unix":
        return "unix"
    address = rest.rpartition(":")[0].replace("%5B", "[").replace("%5D", "]").strip("[]")
    return address.removeprefix("::ffff:")


def _bearer(context: grpc.ServicerContext) -> str:
    for key, value in context.invocation_metadata():
        if key == "authorization":
            scheme, _, token = str(value).partition(" ")
            if scheme.lower() == "bearer" and token:
                return token
    raise Refused("TOKEN_MISSING", "the call brings no token", hint="Log in.")


class Ending(Exception):
    """The server is to end, and the call could go on for long."""


def unary(method: Callable[..., Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """A method, ready to be served, that answers once."""
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(request: Any, context: grpc.ServicerContext) -> Any:
        with _call(context):
            return method(check(rule, request, context), request)

    return serve


def streaming(
    method: Callable[..., Iterator[Any]], ending: threading.Event
) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    """A method, ready to be served, that answers with a stream.

    Args:
        method: Yields None from time to time while it waits for what comes next.
        ending: Set when the server is to end: who waits is told to come again.
    """
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _call(context), _stream(rule):
            answers = method(check(rule, request, context), request)
            for answer in _watched(answers, lambda: check(rule, request, context)):
                if answer is not None:
                    yield answer
                    continue
                close_old_connections()  # who waits has none
                if ending.is_set():
                    raise Ending
                if not context.is_active():
                    return

    return serve


def uploading(method: Callable[..., Any]) -> Callable[[Iterator[Any], grpc.ServicerContext], Any]:
    """A method, ready to be served, that takes a stream; its first message says what it is about."""
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        with _call(context), _stream(rule):
            first = next(requests, None)
            if first is None:
                raise invalid("stream", "it has no message")
            rest = _watched(_waited_for(requests), lambda: check(rule, first, context))
            return method(check(rule, first, context), first, rest)

    return serve


@contextmanager
def _call(context: grpc.ServicerContext) -> Iterator[None]:
    """What is around every call: fresh database connections, and failures as the contracts say."""
    close_old_connections()
    try:
        yield
    except Exception as error:
        _abort(context, error)
    finally:
        close_old_connections()


@contextmanager
def _stream(rule: Rule) -> Iterator[None]:
    """What is around every stream: room for it. Attempts take none from people, nor people from them."""
    streams = _streams_of_attempts if rule is Rule.ATTEMPT else _streams
    if not streams.acquire(blocking=False):
        raise Refused(
            "TOO_MANY_STREAMS", f"the server serves {STREAMS} streams already", hint="Try again in a moment."
        )
    try:
        yield
    finally:
        streams.release()


def _waited_for(messages: Iterator[Any]) -> Iterator[Any]:
    """Messages of a client, who may take any time: meanwhile the call has no connection to the database."""
    close_old_connections()
    for message in messages:
        yield message
        close_old_connections()


def _watched(messages: Iterator[Any], check_again: Callable[[], object]) -> Iterator[Any]:
    """Messages, until the caller may no longer have them: a token may be revoked while a stream runs."""
    checked = time.monotonic()
    for message in messages:
        if time.monotonic() - checked >= RECHECK_SECONDS:
            check_again()
            checked = time.monotonic()
        yield message


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
    if isinstance(error, Ending):
        context.abort(grpc.StatusCode.UNAVAILABLE, "the server ends; call again")
    if _is_full_disk(error):
        error = Refused("DISK_FULL", "the server's disk is full", hint="Ask who runs the server.")
    if not isinstance(error, Refused):
        incident = str(uuid4())
        logger.error("incident %s", incident, exc_info=error)
        error = Refused(
            "INTERNAL_ERROR",
            "the server failed at this call",
            hint=f"Its log says more under {incident}.",
            incident=incident,
        )
    context.abort_with_status(rpc_status.to_status(status_of(error)))


def _is_full_disk(error: Exception) -> bool:
    """Whether a file or the database had no room: SQLite's words, and those of PostgreSQL's system."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    said = str(error)
    return isinstance(error, OperationalError) and ("disk is full" in said or "No space left" in said)


def _printable(text: str) -> str:
    """A text that protobuf takes, and that fits the trailers whatever the caller had sent."""
    return text[:MESSAGE_CHARACTERS].encode(errors="replace").decode()


def status_of(refused: Refused) -> status_pb2.Status:
    """A refusal as it goes on the wire."""
    metadata = {**refused.metadata, **({"hint": refused.hint} if refused.hint else {})}
    metadata = {name: _printable(value) for name, value in metadata.items()}
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=refused.reason, domain="bench", metadata=metadata))
    code = code_pb2.Code.Value(refused.status)
    return status_pb2.Status(code=code, message=_printable(refused.message), details=[detail])
