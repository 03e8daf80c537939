"""The gRPC server: the contracts' services, health and reflection, on a Unix socket and addresses."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from bench_protos.auth.v1 import auth_pb2
from bench_protos.code.v1 import code_pb2
from bench_protos.data.v1 import datasets_pb2
from bench_protos.projects.v1 import projects_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bench_server.accounts.rpc import AuthService
from bench_server.code.rpc import CodeService
from bench_server.datasets.rpc import DatasetService
from bench_server.errors import StartError
from bench_server.projects.rpc import ProjectService
from bench_server.rpc.calls import THREADS, streaming, unary, uploading

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
]
"""What is served: each contract and the class that has its calls."""


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
        self._server.add_generic_rpc_handlers([handlers(kind(), found) for kind, found in SERVICES])
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [found.full_name for _, found in SERVICES]
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        for address in addresses:
            self._listen(address, None)
        for address in secure_addresses:
            assert credentials is not None
            self._listen(address, credentials)
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None) -> None:
        try:
            if credentials is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise StartError(
                f"cannot listen on {address}: {error}", hint="Is another server there? Name another port."
            ) from None

    def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and let those that run finish for so long."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()


def handlers(service: object, contract: ServiceDescriptor) -> grpc.GenericRpcHandler:
    """The calls of a contract, found by their names in an object and wrapped by their rules.

    Raises:
        AttributeError: One is missing, or has no rule.
    """
    found = {method.name: _handler(service, method) for method in contract.methods}
    return grpc.method_handlers_generic_handler(contract.full_name, found)


def _handler(service: object, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
    serving = getattr(service, method.name)
    parse = GetMessageClass(method.input_type).FromString
    serialize = GetMessageClass(method.output_type).SerializeToString
    if method.client_streaming:
        return grpc.stream_unary_rpc_method_handler(uploading(serving), parse, serialize)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(streaming(serving), parse, serialize)
    return grpc.unary_unary_rpc_method_handler(unary(serving), parse, serialize)
