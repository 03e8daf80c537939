"""The gRPC server: the contracts' services, health and reflection, on a Unix socket and addresses."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from bench_protos.auth.v1 import auth_pb2
from bench_protos.code.v1 import code_pb2
from bench_protos.data.v1 import datasets_pb2
from bench_protos.projects.v1 import projects_pb2
from bench_protos.runs.v1 import attempts_pb2, runs_pb2, secrets_pb2
from bench_protos.tracks.v1 import tracks_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bench_server.accounts.rpc import AuthService
from bench_server.code.rpc import CodeService
from bench_server.data_folder import DataFolder
from bench_server.datasets.rpc import DatasetService
from bench_server.errors import StartError
from bench_server.projects.rpc import ProjectService
from bench_server.rpc.calls import THREADS, streaming, unary, uploading
from bench_server.runs.attempt_rpc import AttemptService
from bench_server.runs.rpc import RunService, SecretService
from bench_server.tracks.rpc import TrackService

OPTIONS = [
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),  # clients ping every 30 s
    ("grpc.keepalive_permit_without_calls", 1),
]

SERVICES: list[tuple[type, ServiceDescriptor]] = [
    (AuthService, auth_pb2.DESCRIPTOR.services_by_name["AuthService"]),
    (ProjectService, projects_pb2.DESCRIPTOR.services_by_name["ProjectService"]),
    (DatasetService, datasets_pb2.DESCRIPTOR.services_by_name["DatasetService"]),
    (CodeService, code_pb2.DESCRIPTOR.services_by_name["CodeService"]),
    (RunService, runs_pb2.DESCRIPTOR.services_by_name["RunService"]),
    (SecretService, secrets_pb2.DESCRIPTOR.services_by_name["SecretService"]),
    (TrackService, tracks_pb2.DESCRIPTOR.services_by_name["TrackService"]),
]
"""What is served: each contract and the class that has its calls."""

ATTEMPT_SERVICES: list[tuple[type, ServiceDescriptor]] = [
    (AttemptService, attempts_pb2.DESCRIPTOR.services_by_name["AttemptService"]),
]
"""The same of the socket that attempts of runs reach: nothing else is served there, and this nowhere else."""

ATTEMPTS_GRACE_SECONDS = 1.0
"""An attempt sends its log for as long as it runs. What was cut off it sends again."""


class RpcServer:
    """A server that listens.

    Args:
        addresses: Where, in clear: "unix:PATH" or "HOST:PORT" of this machine's own.
        secure_addresses: Where with TLS: "HOST:PORT".
        credentials: For those.

    Raises:
        StartError: An address cannot be had.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        secure_addresses: Sequence[str] = (),
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._server = grpc.server(ThreadPoolExecutor(THREADS, "rpc"), options=OPTIONS)
        self._ending = threading.Event()
        self._server.add_generic_rpc_handlers(
            [handlers(kind(), found, self._ending) for kind, found in SERVICES]
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [found.full_name for _, found in SERVICES]
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        for address in addresses:
            listen(self._server, address)
        for address in secure_addresses:
            assert credentials is not None
            listen(self._server, address, credentials)
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and let those that run finish for so long."""
        self._ending.set()
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()


def listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None = None) -> None:
    """Have a server listen.

    Raises:
        StartError: The address cannot be had.
    """
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise StartError(
            f"cannot listen on {address}: {error}", hint="Is another server there? Name another port."
        ) from None


class AttemptsServer:
    """A server for the attempts of runs, on a socket alone, whose folder is what they are given.

    Args:
        folder: The server's folder.

    Raises:
        StartError: The socket cannot be had.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._server = grpc.server(ThreadPoolExecutor(THREADS, "attempts"), options=OPTIONS)
        self._ending = threading.Event()
        self._server.add_generic_rpc_handlers(
            [handlers(kind(), found, self._ending) for kind, found in ATTEMPT_SERVICES]
        )
        path = folder.attempts_socket
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)  # the user of a container is none of this machine's
        listen(self._server, f"unix:{path}")
        path.chmod(0o666)
        self._server.start()

    def stop(self) -> None:
        """Take no more calls, and end those that run."""
        self._ending.set()
        self._server.stop(ATTEMPTS_GRACE_SECONDS).wait()


def handlers(service: object, contract: ServiceDescriptor, ending: threading.Event) -> grpc.GenericRpcHandler:
    """The calls of a contract, found by their names in an object and wrapped by their rules.

    Args:
        service: The object.
        contract: The contract.
        ending: Set when the server is to end.

    Raises:
        AttributeError: One is missing, or has no rule.
    """
    found = {method.name: _handler(service, method, ending) for method in contract.methods}
    return grpc.method_handlers_generic_handler(contract.full_name, found)


def _handler(
    service: object, method: MethodDescriptor, ending: threading.Event
) -> "grpc.RpcMethodHandler[Any, Any]":
    serving = getattr(service, method.name)
    parse = GetMessageClass(method.input_type).FromString
    serialize = GetMessageClass(method.output_type).SerializeToString
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(uploading(serving), parse, serialize)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(streaming(serving, ending), parse, serialize)
    return grpc.unary_unary_rpc_method_handler(unary(serving), parse, serialize)
