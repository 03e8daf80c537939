"""Accounts and calls for the tests of the server."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from bench_auth import call
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub
from bench_protos.projects.v1 import projects_pb2
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub
from google.rpc import error_details_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from bench_server.accounts.models import User
    from bench_server.projects.models import Project

PASSWORD = "correct horse battery"
_numbers = itertools.count()


@dataclass
class Account:
    """A user with a login token and the stubs that send it."""

    username: str
    token: str
    auth: AuthServiceStub
    projects: ProjectServiceStub

    def create_project(self, name: str = "catdog") -> projects_pb2.Project:
        request = projects_pb2.CreateProjectRequest(request_id=str(uuid4()), name=name)
        return call(self.projects.CreateProject, request).project

    def delete_project(self, project_id: str) -> None:
        call(self.projects.DeleteProject, projects_pb2.DeleteProjectRequest(project_id=project_id))


def new_user(username: str | None = None) -> "User":
    from bench_server.accounts import services

    return services.create_user(username or f"user{next(_numbers)}", PASSWORD)


def new_project(user: "User", name: str | None = None) -> "Project":
    from bench_server.projects import services

    return services.create_project(user, name or f"project {uuid4().hex}", uuid4()).project


def new_account(address: str, username: str | None = None) -> Account:
    from bench_server.accounts import services

    user = new_user(username)
    return account_with(address, user.username, services.create_login(user, "test").secret)


def account_with(address: str, username: str, token: str) -> Account:
    channel = channel_with(address, token)
    return Account(username, token, AuthServiceStub(channel), ProjectServiceStub(channel))


def channel_with(address: str, token: str | None) -> grpc.Channel:
    from bench_auth.channel import channel_to
    from bench_auth.endpoints import parse_endpoint

    return channel_to(parse_endpoint(address), token)


def open_stub(address: str) -> AuthServiceStub:
    return AuthServiceStub(channel_with(address, None))


def refusal(method: Any, request: Any) -> tuple[str, str]:
    """The status and the reason that a call is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=60)
    error = caught.value
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.domain == "bench"
    return error.code().name, info.reason
