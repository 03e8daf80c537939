"""The library's side of runs, against a real server that is killed meanwhile."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server, write
from bench_auth import AuthError, UnreachableError, call, open_channel
from bench_core import ProjectSettings, read_project
from bench_data import push
from bench_deploy import (
    LogSlice,
    NotMigratedError,
    ProjectRuns,
    ProjectVersions,
    RunSpec,
    RunState,
    SubmitOptions,
    plan_bundle,
    submit_again,
    submit_run,
)
from bench_deploy.bundle import packed
from bench_deploy.git_state import git_state
from bench_deploy.runs import unseen
from bench_protos.data.v1.datasets_pb2 import DeleteVersionRequest
from bench_protos.data.v1.datasets_pb2_grpc import DatasetServiceStub
from run_driver import Driver, running_driver
from uuid6 import uuid7

SILENT = SubmitOptions(say=lambda _: None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def driver(server: Server) -> Iterator[Driver]:
    with running_driver(server.data) as made:
        yield made


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    """A project's folder."""
    toml = f'[project]\nid = "{server.create_project()}"\nname = "p"\nendpoint = "{server.endpoint}"\n'
    (tmp_path / "bench.toml").write_text(toml)
    (tmp_path / "TrainScript.py").write_text("print('training')\n")
    return tmp_path


@pytest.fixture
def runs(folder: Path) -> ProjectRuns:
    return ProjectRuns(read_project(folder))


def restart(server: Server) -> None:
    server.kill()
    server.start()


def test_no_byte_of_a_log_is_lost_or_repeated(
    server: Server, driver: Driver, folder: Path, runs: ProjectRuns
) -> None:
    run = submit_run(folder, SILENT)
    driver.move(run.name, "building", "starting", "running")
    pieces = [f"{number} {'x' * (number % 977)}\n" for number in range(3000)]
    written = "".join(pieces).encode()

    def write() -> None:
        for at in range(0, len(pieces), 100):
            driver.say(run.name, "".join(pieces[at : at + 100]))
            if at in (800, 1900):
                restart(server)
        driver.end(run.name, "succeeded", "the training returned 0", 0)

    writer = threading.Thread(target=write)
    writer.start()
    noticed: list[AuthError | None] = []
    log = b""
    for offset, data in runs.read_log(run.run_id, LogSlice(follow=True), noticed.append):
        assert offset == len(log)
        log += data
    writer.join()
    assert log == written
    outages = len(noticed) // 2  # the second restart may come before the first was got over
    assert [type(notice) for notice in noticed] == [UnreachableError, type(None)] * outages
    assert outages
    tail = list(runs.read_log(run.run_id, LogSlice(start_offset=-10)))
    assert tail == [(len(written) - 10, written[-10:])]


def test_a_run_is_watched_over_a_restart(
    server: Server, driver: Driver, folder: Path, runs: ProjectRuns
) -> None:
    run = submit_run(folder, SILENT)
    states: list[RunState] = []
    for seen in runs.watch(run.run_id):
        if seen.state in states:
            continue
        states.append(seen.state)
        if seen.state is RunState.QUEUED:
            restart(server)
            driver.move(run.name, "building", "starting", "running")
        if seen.state is RunState.RUNNING:
            restart(server)
            driver.end(run.name, "failed_exit", "the training returned 3", 3)
    assert states[0] is RunState.QUEUED
    assert states[-2:] == [RunState.RUNNING, RunState.FAILED]
    ended = runs.get(run.name)
    assert (ended.last_attempt.reason, ended.last_attempt.exit_code) == ("failed_exit", 3)


def test_a_run_is_submitted_once_though_the_server_was_away(
    server: Server, folder: Path, runs: ProjectRuns
) -> None:
    first = submit_run(folder, SILENT)
    spec = RunSpec(bundle_digest=first.spec.bundle_digest, command=("true",))
    server.kill()
    starting = threading.Timer(1.0, server.start)
    starting.start()
    run_id = str(uuid7())
    made = runs.submit(spec, run_id=run_id, tags=("a",))
    starting.join()
    assert runs.submit(spec, run_id=run_id, tags=("a",)) == made
    assert [run.run_id for run in runs.all()] == [run_id, first.run_id]
    assert [run.run_id for run in runs.all(tags=["a"])] == [run_id]


def test_a_repetition_has_the_same_code_and_lock(runs: ProjectRuns, folder: Path) -> None:
    spec = RunSpec(
        bundle_digest=submit_run(folder, SILENT).spec.bundle_digest, command=("true",), lock="torch==2"
    )
    run = runs.submit(spec, run_id=str(uuid7()))
    again = submit_again(runs, run)
    assert (again.spec, again.parent_run_id) == (run.spec, run.run_id)


def test_files_that_a_run_left_are_fetched_over_a_restart(
    server: Server, driver: Driver, folder: Path, runs: ProjectRuns, tmp_path: Path
) -> None:
    run = submit_run(folder, SILENT)
    content = "weights " * 500_000
    driver.leave(run.name, "output/best.pt", content)
    [file] = runs.artifacts(run.run_id)
    server.kill()
    starting = threading.Timer(0.5, server.start)
    starting.start()
    noticed: list[AuthError | None] = []
    assert runs.download_artifact(run.run_id, file, tmp_path / "results", noticed.append)
    starting.join()
    assert (tmp_path / "results" / "output" / "best.pt").read_text() == content
    assert os.listdir(tmp_path / "results" / "output") == ["best.pt"]
    assert not runs.download_artifact(run.run_id, file, tmp_path / "results")
    assert [type(notice) for notice in noticed] == [UnreachableError, type(None)]


def make_version(folder: Path, **datasets: int) -> None:
    """What a migration leaves on the server."""
    versions = ProjectVersions(read_project(folder))
    with packed(plan_bundle(folder)) as bundle:
        versions.upload(bundle)
        versions.create(bundle.digest, datasets, git_state(folder), "")


def test_the_datasets_code_is_not_run(folder: Path) -> None:
    make_version(folder)
    (folder / "Datasets").mkdir()
    (folder / "Datasets" / "ProjectDatasets.py").write_text("raise SystemExit('it was run')\n")
    assert submit_run(folder, SILENT).spec.datasets == {}


def test_datasets_that_were_never_migrated(folder: Path, runs: ProjectRuns) -> None:
    (folder / "Datasets").mkdir()
    (folder / "Datasets" / "ProjectDatasets.py").write_text("def main(): ...\n")
    with pytest.raises(NotMigratedError) as caught:
        submit_run(folder, SILENT)
    assert caught.value.message == (
        "Datasets/ProjectDatasets.py was never migrated: the server has no dataset for a run"
    )
    assert caught.value.hint == "Migrate it: python manage.py --makemigrations"
    assert runs.latest() is None


def test_a_dataset_that_was_deleted_from_the_server(
    server: Server, folder: Path, runs: ProjectRuns, tmp_path: Path
) -> None:
    project = read_project(folder)
    root = tmp_path / "written"
    write(root, "train", 3)
    push("train", project=project.id, root=root, progress=False)
    make_version(folder, train=1)
    assert submit_run(folder, SILENT).spec.datasets == {"train": 1}
    request = DeleteVersionRequest(project_id=project.id, dataset="train", version_number=1, force=True)
    call(DatasetServiceStub(open_channel(server.endpoint)).DeleteVersion, request)
    for version, hint in (
        (None, "Migrate again: python manage.py --makemigrations"),
        (1, "Train another version, or migrate again: bench version list"),
    ):
        with pytest.raises(NotMigratedError) as caught:
            submit_run(folder, SubmitOptions(version=version, say=lambda _: None))
        assert (caught.value.message, caught.value.hint) == (
            "version 1 of the project has version 1 of train, which was deleted from the server",
            hint,
        )
    assert len(list(runs.all())) == 1


def test_nobody_is_there_for_a_project_of_somebody_else(server: Server) -> None:
    with pytest.raises(AuthError):
        ProjectRuns(ProjectSettings(id=str(uuid7()), name="x"), server.endpoint).latest()


@pytest.mark.parametrize(
    ("start", "data", "wanted", "expected"),
    [
        (0, b"abc", 0, (0, b"abc")),
        (0, b"abc", 2, (2, b"c")),
        (0, b"abc", 3, (3, b"")),
        (0, b"abc", 9, (9, b"")),
        (5, b"abc", 3, (5, b"abc")),
        (5, b"abc", -8, (5, b"abc")),
    ],
)
def test_what_of_a_message_is_new(start: int, data: bytes, wanted: int, expected: tuple[int, bytes]) -> None:
    assert unseen(start, data, wanted) == expected
