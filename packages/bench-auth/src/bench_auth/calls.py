"""Every call to a server: its deadline, its retries, and what its failure becomes. One table each."""

import json
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc
from bench_protos.auth.v1 import auth_pb2
from bench_protos.code.v1 import code_pb2
from bench_protos.data.v1 import datasets_pb2
from bench_protos.projects.v1 import projects_pb2
from bench_protos.runs.v1 import runs_pb2, secrets_pb2
from bench_protos.tracks.v1 import tracks_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from bench_auth.endpoints import PORT_HINT, Endpoint
from bench_auth.errors import (
    AlreadyExistsError,
    AuthError,
    InvalidError,
    LimitError,
    NotAllowedError,
    NotFoundError,
    NotLoggedInError,
    NotPossibleError,
    ServerAnswerError,
    ServerFailedError,
    TimedOutError,
    UnreachableError,
)
from bench_auth.trust import Trust

UNARY_SECONDS = 20.0
"""The deadline of a call that answers once. Password hashing takes half a second on a slow machine."""


OTHER_HINT = "Check the endpoint's port; update the older of client and server."


CONTRACTS = (auth_pb2, code_pb2, datasets_pb2, projects_pb2, runs_pb2, secrets_pb2, tracks_pb2)


def _is_safe_twice(method: MethodDescriptor) -> bool:
    if method.client_streaming or method.server_streaming:
        return False
    changes_nothing = method.name.startswith(("Get", "List", "Find"))
    return changes_nothing or "request_id" in method.input_type.fields_by_name


SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [
                    {"service": service.full_name, "method": method.name}
                    for contract in CONTRACTS
                    for service in contract.DESCRIPTOR.services_by_name.values()
                    for method in service.methods
                    if _is_safe_twice(method)
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.2s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""Only what changes nothing, or has a request_id, is tried again: a connection may be cut after the commit.
Streams are left out: who sends one knows better where to go on, and a retried one that is cut can abort the
process in gRPC's core (1.85: "ILLEGAL STATE: FORWARDED_BATCH")."""

CHANNEL_OPTIONS = [
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # By itself gRPC waits up to two minutes before it looks again for a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 200),
    # In spite of its name, how long a connection may take to come about: over a slow line TLS takes seconds.
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


@dataclass(frozen=True)
class Route:
    """The way that a call goes.

    Args:
        endpoint: The server.
        trust: Whose certificate is taken; None without TLS.
    """

    endpoint: Endpoint
    trust: Trust | None


ERRORS: dict[grpc.StatusCode, type[ServerAnswerError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowedError,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossibleError,
    grpc.StatusCode.ABORTED: NotPossibleError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitError,
}
"""What a refusal becomes; anything else is ServerFailedError."""

Request = TypeVar("Request", contravariant=True)
Response = TypeVar("Response", covariant=True)


class Unary(Protocol[Request, Response]):
    """A method of a generated stub that answers once."""

    def __call__(self, request: Request, *, timeout: float | None = None) -> Response:
        """Make the call."""


def call(method: Unary[Request, Response], request: Request, *, seconds: float = UNARY_SECONDS) -> Response:
    """Make a call that answers once.

    Args:
        method: Of a stub.
        request: Its request.
        seconds: The deadline.

    Raises:
        AuthError: It failed.
    """
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise translate(error) from None


def translate(error: grpc.RpcError) -> AuthError:
    """A failed call as one of our errors."""
    code, message = _code_and_message(error)
    info = _error_info(error)
    hint = info.metadata.get("hint") if info else None
    if code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE) and info is None:
        route = getattr(error, "bench_route", None)
        if route is not None and (found := _diagnose(route)):
            return found
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOutError("the server did not answer in time", hint="Is it very busy? Try again.")
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unreachable(message)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return NotLoggedInError(message, hint=hint or "Log in: `bench login`.")
    if code is grpc.StatusCode.UNIMPLEMENTED and info is None:
        return UnreachableError(
            f"what answers there is no Bench server of this release ({message})",
            hint=OTHER_HINT,
        )
    if code is grpc.StatusCode.INTERNAL and info is None:
        return ServerFailedError(f"the server's answer makes no sense ({message})", hint=OTHER_HINT)
    answer = ERRORS.get(code, ServerFailedError)(message, hint=hint)
    answer.reason = info.reason if info else ""
    answer.metadata = {k: v for k, v in info.metadata.items() if k != "hint"} if info else {}
    return answer


def _diagnose(route: Route) -> AuthError | None:
    from bench_auth.probe import diagnose  # cryptography takes 0.15 s to import: only once a call has failed

    trust = route.trust
    return diagnose(route.endpoint, trust.roots if trust else None, trust.pin if trust else None)


def _unreachable(message: str) -> UnreachableError:
    # gRPC's message ends with the cause: "failed to connect to all addresses; ...: Connection refused".
    cause = message.rpartition(": ")[2].rstrip("])")
    return UnreachableError(
        f"the server cannot be reached ({cause})",
        hint=f"Does it run? {PORT_HINT}",
    )


def _code_and_message(error: Any) -> tuple[grpc.StatusCode, str]:
    return error.code(), error.details() or ""


def _error_info(error: Any) -> error_details_pb2.ErrorInfo | None:
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    return None
