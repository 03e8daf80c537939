"""Checkpoints of runs of elsewhere reach a real server whole, and leave it when they are removed."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_auth
import grpc
import pytest
from agent_tools import Server, running_server
from attempt_tools import until
from bench_agent.track.checkpoints import CheckpointSending
from bench_auth import call
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_track.checkpoint_folder import Checkpoint
from bench_track.records import pack_note
from checkpoint_tools import contents, note_of, write_checkpoint
from crash_tools import stored_bytes
from test_track_outside import Script

SCRIPT = """
import sys, os, bench_track
run = bench_track.init(checkpoints=sys.argv[1])
for step in range(4):
    with open("weights", "wb") as file:
        file.write(os.urandom(1_000_000))
    run.checkpoint("weights", step=step, metric=step)
print(run.id)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def project(server: Server) -> str:
    return server.create_project()


class Saver(Script):
    """A script that saves checkpoints."""

    def __init__(self, folder: Path, server: Server, project: str) -> None:
        super().__init__(folder, server, project)
        self.server, self.project, self.root = server, project, folder / "checkpoints"

    def __enter__(self) -> "Saver":
        return self

    def save(
        self,
        step: int,
        files: dict[str, bytes] | None = None,
        *,
        told: bool = True,
        root: Path | None = None,
    ) -> Checkpoint:
        made = write_checkpoint(root or self.root, step, files or {"weights": os.urandom(2_000_000)})
        if told:
            self.say(note_of(made))
        return made

    def remove(self, made: Checkpoint) -> None:
        shutil.rmtree(made.folder)
        self.say({"type": "checkpoint_removed", "name": made.name})

    def say(self, note: dict[str, Any]) -> None:
        self._file.write(pack_note(note))

    @property
    def stub(self) -> TrackServiceStub:
        return TrackServiceStub(bench_auth.open_channel(self.server.endpoint))

    def kept(self) -> dict[str, dict[str, bytes]]:
        """The files of those that the server says it has."""
        return {
            name: self.files_of(name) for name, place in self.listed() if place == pb.CHECKPOINT_PLACE_SERVER
        }

    def listed(self) -> list[tuple[str, int]]:
        """All names, and where their files are."""
        request = pb.ListCheckpointsRequest(project_id=self.project, run_id=self.run_id)
        return [(one.name, one.place) for one in call(self.stub.ListCheckpoints, request).checkpoints]

    def files_of(self, name: str) -> dict[str, bytes]:
        document = self.read(name, "checkpoint.json")
        paths = [file["path"] for file in json.loads(document)["files"]]
        return {"checkpoint.json": document, **{path: self.read(name, path) for path in paths}}

    def read(self, name: str, path: str) -> bytes:
        request = pb.DownloadCheckpointRequest(
            project_id=self.project, run_id=self.run_id, attempt_number=1, name=name, path=path
        )
        return b"".join(answer.data for answer in self.stub.DownloadCheckpoint(request, timeout=60))

    def has_kept(self, *made: Checkpoint) -> bool:
        try:
            return self.run() is not None and self.kept() == {one.name: contents(one.folder) for one in made}
        except grpc.RpcError:  # one was removed after the list was made
            return False

    @property
    def stored(self) -> int:
        return stored_bytes(self.server, self.project)


@pytest.fixture
def saver(tmp_path: Path, server: Server, project: str) -> Iterator[Saver]:
    with Saver(tmp_path / "run", server, project) as made:
        yield made


def size(*made: Checkpoint) -> int:
    return sum(one.size_bytes for one in made)


def test_they_come_while_the_script_lives_and_go_when_it_removes_them(saver: Saver) -> None:
    first = saver.save(1, {"net/weights.pt": os.urandom(3_000_000), "net/empty": b"", "args": b"{}"})
    agent = saver.agent()
    until(lambda: saver.has_kept(first))
    second = saver.save(2)
    until(lambda: saver.has_kept(first, second))
    saver.remove(first)
    until(lambda: saver.has_kept(second) and saver.stored == size(second))
    untold = saver.save(3, told=False)
    saver.end(state="succeeded")
    assert agent.wait(timeout=60) == 0
    assert saver.has_kept(second, untold)
    assert saver.stored == size(second, untold)
    assert saver.notes == ""


def test_what_stayed_here_is_synced_once(saver: Saver) -> None:
    saver.remove(saver.save(1))
    made = [saver.save(2), saver.save(3, {"a": b"a", "b": b"a"})]
    assert saver.sync() == (0, "")  # the script lives
    untold = saver.save(4, told=False)
    assert saver.sync() == (0, "")
    assert saver.has_kept(*made)
    saver.end(state="succeeded")
    for _ in range(2):
        assert saver.sync() == (0, "")
        assert saver.has_kept(*made, untold)
        assert saver.stored == size(*made, untold) - 1  # two files are the same


def test_two_runs_at_once_with_the_same_files(tmp_path: Path, server: Server, project: str) -> None:
    weights = random.Random(3).randbytes(30_000_000)
    with Saver(tmp_path / "a", server, project) as one, Saver(tmp_path / "b", server, project) as two:
        made = [saver.save(1, {"weights": weights}) for saver in (one, two)]
        agents = [saver.agent() for saver in (one, two)]
        until(lambda: one.has_kept(made[0]) and two.has_kept(made[1]))
        assert one.stored == len(weights)
        one.remove(made[0])
        until(one.has_kept)
        assert two.has_kept(made[1])
        for saver, agent in zip((one, two), agents, strict=True):
            saver.end(state="succeeded")
            assert agent.wait(timeout=60) == 0
        assert one.stored == len(weights)


def test_one_that_is_damaged_is_said_and_never_kept(saver: Saver) -> None:
    torn, altered, whole = saver.save(1), saver.save(2), saver.save(3)
    with (torn.folder / "weights").open("r+b") as file:
        file.truncate(1_000_000)
    with (altered.folder / "weights").open("r+b") as file:
        file.write(b"other")
    saver.end(state="succeeded")
    code, said = saver.sync()
    assert code == 1
    assert "is not sent" in said
    assert f"the checkpoint {torn.name} is not sent" in saver.notes
    assert f"the checkpoint {altered.name} is not sent" in saver.notes
    assert saver.has_kept(whole)
    assert saver.stored == size(whole)
    for one in (torn, altered):
        shutil.rmtree(one.folder)
    assert saver.sync() == (0, "")


def test_a_quota_is_said_and_waited_for(saver: Saver, server: Server, project: str) -> None:
    made = saver.save(1)
    assert server.command("quota", project, "1MB").returncode == 0
    saver.end(state="succeeded")
    code, said = saver.sync()
    assert (code, "may take 1,000,000 bytes" in said) == (1, True)
    assert (saver.kept(), saver.stored) == ({}, 0)
    assert server.command("quota", project, "1GB").returncode == 0
    assert saver.sync() == (0, "")
    assert saver.has_kept(made)


def test_those_in_an_output_folder_are_found_by_what_the_run_said(saver: Saver, tmp_path: Path) -> None:
    output = tmp_path / "output" / "checkpoints"
    made = saver.save(1, root=output)
    saver.save(2, root=output, told=False)  # another run's
    saver.end(state="succeeded")
    assert saver.sync() == (0, "")
    assert saver.has_kept(made)


def test_a_script_of_its_own(saver: Saver, tmp_path: Path, server: Server, project: str) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    given = {"BENCH_TRACK_ROOT": str(tmp_path / "tracks"), "BENCH_PROJECT": project}
    words = [sys.executable, "train.py", str(tmp_path / "saved")]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, **given, "BENCH_ENDPOINT": server.endpoint},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    saver.run_id = done.stdout.strip()
    until(lambda: [end for end, _ in saver.ends()] == ["succeeded"] and len(saver.kept()) == 2)
    assert saver.kept() == {
        folder.name: contents(folder) for folder in sorted((tmp_path / "saved").glob("step-*"))
    }


def test_the_server_does_not_choose_what_is_read(saver: Saver, server: Server, tmp_path: Path) -> None:
    """Another member may say what they like of a run."""
    saver.save(1)
    assert saver.sync() == (0, "")
    private = write_checkpoint(tmp_path / "private", 2, {"key": b"secret"})
    with Saver(tmp_path / "other", server, saver.project) as other:
        (other.folder / "run.json").write_bytes((saver.folder / "run.json").read_bytes())
        other.run_id = saver.run_id
        records = next(other.folder.glob("*.records"))
        records.rename(records.with_name("0-7-aaaaaaaa.records"))
        for name, path in (
            (private.name, str(private.folder)),
            ("step-000000003", "../private/step-000000002"),
            ("../../private/step-000000002", "/nowhere"),
        ):
            other.say({**note_of(private), "name": name, "path": path})
        other.folder.joinpath("checkpoints").mkdir()
        shutil.move(private.folder, tmp_path / "away")
        assert other.sync() == (0, "")
        shutil.move(tmp_path / "away", private.folder)
    saver.end(state="succeeded")
    assert saver.sync() == (0, "")
    assert [one for one, _ in saver.listed()].count("step-000000002") == 1
    assert list(saver.kept()) == ["step-000000001"]


def test_an_error_that_nobody_thought_of_is_no_success(tmp_path: Path, server: Server) -> None:
    said: list[str] = []
    channel = bench_auth.open_channel(server.endpoint)
    channel.close()
    names = {"project_id": "p", "run_id": "r"}
    sending = CheckpointSending(tmp_path, channel, names, said.append, patience_seconds=1)
    sending.start()
    problem = sending.finish(has_ended=True)
    assert "an error of Bench's own: ValueError" in problem
    assert said == [problem]
