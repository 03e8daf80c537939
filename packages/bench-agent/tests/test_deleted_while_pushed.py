"""A dataset that somebody deletes while it is pushed: the push says so, or makes a whole version."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import bench_auth
import grpc
import pytest
from agent_tools import Server, running_server, write
from bench_data import dataset_info, pull, push, verify
from bench_data.errors import CloudError
from bench_protos.data.v1 import datasets_pb2 as pb
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from bench_protos.projects.v1 import projects_pb2
from bench_protos.projects.v1.projects_pb2_grpc import ProjectServiceStub
from crash_tools import versions_of

PUSHES = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@contextlib.contextmanager
def deleting(server: Server, project: str) -> Iterator[list[int]]:
    """Somebody who deletes every version of "train" as soon as there is one; their numbers."""
    stub = DatasetServiceStub(bench_auth.open_channel(server.endpoint))
    ended, deleted = threading.Event(), list[int]()

    def delete() -> None:
        while not ended.is_set():
            with contextlib.suppress(grpc.RpcError):  # there is none
                version = stub.GetVersion(pb.GetVersionRequest(project_id=project, dataset="train")).version
                number = version.version_number
                stub.DeleteVersion(
                    pb.DeleteVersionRequest(project_id=project, dataset="train", version_number=number)
                )
                deleted.append(number)

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        yield deleted
    finally:
        ended.set()
        thread.join()


def refusal(transfer: Callable[[], object]) -> str:
    """What a transfer says that fails; empty if it does not."""
    try:
        transfer()
    except CloudError as error:
        return str(error)
    return ""


def test_every_push_is_whole_while_versions_are_deleted(server: Server, tmp_path: Path) -> None:
    project = server.create_project()
    roots = [tmp_path / str(seed) for seed in range(2)]
    for seed, root in enumerate(roots):
        write(root, "train", 2_000, seed=seed)
    with deleting(server, project) as deleted:
        for number in range(PUSHES):
            pushed = push("train", project=project, root=roots[number % 2])
            assert pushed.fingerprint == dataset_info(roots[number % 2] / "train").fingerprint
    assert len(deleted) >= PUSHES - 1
    pushed = push("train", project=project, root=roots[0])
    assert [found.fingerprint for found in versions_of(server, project)] == [pushed.fingerprint]
    pull("train", project=project, root=tmp_path / "there")
    assert verify(tmp_path / "there" / "train").ok
    assert server.command("check", "--digests").stdout == "No problems.\n"


def test_a_pull_of_a_version_that_is_deleted_is_whole_or_says_so(server: Server, tmp_path: Path) -> None:
    project = server.create_project()
    write(tmp_path, "train", 2_000)
    for number in range(PUSHES):
        push("train", project=project, root=tmp_path)
        there = tmp_path / f"there{number}"
        with deleting(server, project):
            refused = refusal(partial(pull, "train", project=project, root=there))
        assert "has no dataset 'train'" in refused if refused else verify(there / "train").ok


def test_a_project_that_is_deleted_while_it_is_pushed_to(server: Server, tmp_path: Path) -> None:
    write(tmp_path, "train", 20_000)
    projects = ProjectServiceStub(bench_auth.open_channel(server.endpoint))
    for delay in (0.0, 0.4, 0.6, 0.8, 1.0, 1.5):
        project = server.create_project()
        request = projects_pb2.DeleteProjectRequest(project_id=project)
        timer = threading.Timer(delay, projects.DeleteProject, [request])
        timer.start()
        refused = refusal(partial(push, "train", project=project, root=tmp_path))
        assert re.match(f"there is no project {project}, |the project .* was deleted meanwhile|$", refused)
        timer.join()
        with pytest.raises(grpc.RpcError, match="there is no project"):
            versions_of(server, project)
    assert server.command("check", "--digests").stdout == "No problems.\n"
