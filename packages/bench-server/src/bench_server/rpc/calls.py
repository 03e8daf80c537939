"""One call: who makes it, whether they may, and what a failure looks like on the wire.

Each method of a servicer declares its rule; the wrapper here keeps it before the method is entered, so that
no method can forget to. A method without a rule is not served: the server refuses to start.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar
from uuid import UUID, uuid4

import grpc
from django.db import close_old_connections
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from bench_server.accounts import services as accounts
from bench_server.accounts.models import Token, User
from bench_server.errors import Refused, invalid
from bench_server.projects import services as projects
from bench_server.projects.models import Membership, Project

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

Method = TypeVar("Method", bound=Callable[..., Any])


class Rule(Enum):
    """Who may make a call."""

    OPEN = auto()
    """Anybody."""

    USER = auto()
    """Whoever has a login or personal token."""

    LOGIN = auto()
    """Whoever has a login token: a stolen personal token must not make itself at home."""

    MEMBER = auto()
    """A member of the project that the request's `project_id` names."""

    PROJECT_OWNER = auto()
    """An owner of that project."""


def allow(rule: Rule) -> Callable[[Method], Method]:
    """Declare a method's rule."""

    def declare(method: Method) -> Method:
        method.rule = rule  # type: ignore[attr-defined]
        return method

    return declare


@dataclass(frozen=True)
class Caller:
    """Who makes a call, and from where.

    Args:
        address: An IP address, or "unix".
        token: None where the rule is OPEN.
        membership: In the project of the request, where the rule is about one.
    """

    address: str
    token: Token | None = None
    membership: Membership | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the call came from this machine."""
        return self.address in ("unix", "::1") or self.address.startswith("127.")

    @property
    def used_token(self) -> Token:
        """The token; only where the rule asks for one."""
        assert self.token is not None
        return self.token

    @property
    def user(self) -> User:
        """The token's user."""
        return self.used_token.user

    @property
    def project(self) -> Project:
        """The request's project; only where the rule is about one."""
        assert self.membership is not None
        return self.membership.project


def check(rule: Rule, request: Any, context: grpc.ServicerContext) -> Caller:
    """Keep a rule.

    Raises:
        Refused: The caller may not make this call.
    """
    address = address_of(context.peer())
    if rule is Rule.OPEN:
        return Caller(address)
    token = accounts.find_token(_bearer(context))
    if token.kind == Token.Kind.RUN or (rule is Rule.LOGIN and token.kind != Token.Kind.LOGIN):
        raise Refused("LOGIN_NEEDED", "this takes a login, not a token of another kind", hint="Log in.")
    if rule in (Rule.USER, Rule.LOGIN):
        return Caller(address, token)
    membership = projects.membership(token.user, uuid_of("project_id", request.project_id))
    if rule is Rule.PROJECT_OWNER and membership.role != Membership.Role.OWNER:
        raise Refused(
            "OWNER_NEEDED",
            f"only an owner of {membership.project.name} may do this",
            hint="Ask one: ListMembers names them.",
        )
    return Caller(address, token, membership)


def uuid_of(field: str, text: str) -> UUID:
    """A field that must be a UUID.

    Raises:
        Refused: FIELD_INVALID.
    """
    try:
        return UUID(text)
    except ValueError:
        raise invalid(field, f"{text!r} is no UUID") from None


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


def unary(method: Callable[..., Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """A method, ready to be served, that answers once."""
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(request: Any, context: grpc.ServicerContext) -> Any:
        with _call(context):
            return method(check(rule, request, context), request)

    return serve


def streaming(method: Callable[..., Iterator[Any]]) -> Callable[[Any, grpc.ServicerContext], Iterator[Any]]:
    """A method, ready to be served, that answers with a stream."""
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _call(context), _stream():
            answers = method(check(rule, request, context), request)
            yield from _watched(answers, lambda: check(rule, request, context))

    return serve


def uploading(method: Callable[..., Any]) -> Callable[[Iterator[Any], grpc.ServicerContext], Any]:
    """A method, ready to be served, that takes a stream; its first message says what it is about."""
    rule: Rule = method.rule  # type: ignore[attr-defined]

    def serve(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        with _call(context), _stream():
            first = next(requests, None)
            if first is None:
                raise invalid("stream", "it has no message")
            rest = _watched(requests, lambda: check(rule, first, context))
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
def _stream() -> Iterator[None]:
    """What is around every stream: room for it."""
    if not _streams.acquire(blocking=False):
        raise Refused(
            "TOO_MANY_STREAMS", f"the server serves {STREAMS} streams already", hint="Try again in a moment."
        )
    try:
        yield
    finally:
        _streams.release()


def _watched(messages: Iterator[Any], check_again: Callable[[], object]) -> Iterator[Any]:
    """Messages, until the caller may no longer have them: a token may be revoked while a stream runs."""
    checked = time.monotonic()
    for message in messages:
        if time.monotonic() - checked >= RECHECK_SECONDS:
            check_again()
            checked = time.monotonic()
        yield message


def _abort(context: grpc.ServicerContext, error: Exception) -> None:
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
