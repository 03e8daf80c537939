"""Checkpoints of the server's runs: where their files are, and the bytes of them."""

import os
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bench_auth import call
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_server.runs import services
from bench_server.tracks import ingest
from bench_track.records import MAGIC, pack_note
from checkpoint_tools import note_of, write_checkpoint
from server_tools import channel_with, refusal
from test_runs import Trainer, end, last

WEIGHTS = os.urandom(2_500_000)


class Trained(Trainer):
    """A project with a run that has made a checkpoint."""

    def __init__(self, address: str) -> None:
        from django.conf import settings

        super().__init__(address)
        self.address = address
        self.tracks = TrackServiceStub(channel_with(address, self.account.token))
        self.run = self.submit()
        self.root: Path = settings.FOLDER.runs / self.run.run_id / "output" / "checkpoints"
        self.checkpoint = write_checkpoint(self.root, 5, {"a/weights": WEIGHTS, "empty": b""})
        self.take(note_of(self.checkpoint))

    def take(self, *notes: dict[str, Any], writer: str = "0-1-5e0c2a91") -> None:
        ingest.append(last(self.run), writer, 0, [MAGIC + b"".join(map(pack_note, notes))])

    def listed(self) -> list[pb.Checkpoint]:
        request = pb.ListCheckpointsRequest(project_id=self.id, run_id=self.run.run_id)
        return list(call(self.tracks.ListCheckpoints, request).checkpoints)

    def range_of(self, path: str, **fields: Any) -> pb.DownloadCheckpointRequest:
        named = {"attempt_number": 1, "name": self.checkpoint.name, **fields}
        return pb.DownloadCheckpointRequest(project_id=self.id, run_id=self.run.run_id, path=path, **named)

    def read(self, path: str, **fields: Any) -> bytes:
        answers = self.tracks.DownloadCheckpoint(self.range_of(path, **fields))
        return b"".join(answer.data for answer in answers)

    def refused(self, path: str, **fields: Any) -> tuple[str, str]:
        return refusal(
            lambda request, timeout: list(self.tracks.DownloadCheckpoint(request, timeout=timeout)),
            self.range_of(path, **fields),
        )


@pytest.fixture
def trained(server_address: str) -> Trained:
    return Trained(server_address)


def test_its_files_are_read_by_ranges(trained: Trained) -> None:
    [listed] = trained.listed()
    assert listed.place == pb.CHECKPOINT_PLACE_SERVER
    assert abs(listed.write_time.ToNanoseconds() - trained.checkpoint.time) < 1_000_000
    assert trained.read("checkpoint.json") == trained.checkpoint.document()
    assert trained.read("a/weights") == WEIGHTS
    assert trained.read("a/weights", start_offset=2_000_000) == WEIGHTS[2_000_000:]
    assert trained.read("a/weights", start_offset=7, length_bytes=5) == WEIGHTS[7:12]
    assert trained.read("empty") == b""


@pytest.mark.parametrize(
    ("path", "fields", "refused"),
    [
        ("a/weights", {"start_offset": 1, "length_bytes": len(WEIGHTS)}, ("OUT_OF_RANGE", "RANGE_INVALID")),
        ("a/weights", {"start_offset": -1}, ("OUT_OF_RANGE", "RANGE_INVALID")),
        ("a", {}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
        ("other", {}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
        ("../../secret", {}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
        ("link", {}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
        ("a/weights", {"name": "step-000000006"}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
        ("a/weights", {"attempt_number": 2}, ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")),
    ],
)
def test_what_is_not_there(trained: Trained, path: str, fields: Any, refused: tuple[str, str]) -> None:
    (trained.root.parent / "secret").write_text("secret")
    (trained.checkpoint.folder / "link").symlink_to(trained.root.parent / "secret")
    assert trained.refused(path, **fields) == refused


def test_other_projects_have_no_access(trained: Trained) -> None:
    other = Trainer(trained.address)
    request = trained.range_of("a/weights")
    request.project_id = other.id
    stub = TrackServiceStub(channel_with(trained.address, other.account.token))
    for one in (request, trained.range_of("a/weights")):
        assert refusal(lambda asked, timeout: list(stub.DownloadCheckpoint(asked)), one)[0] == "NOT_FOUND"


def test_one_whose_folder_is_gone_is_said_to_be(trained: Trained) -> None:
    shutil.rmtree(trained.checkpoint.folder)
    [listed] = trained.listed()
    assert listed.place == pb.CHECKPOINT_PLACE_GONE
    assert trained.refused("a/weights") == ("FAILED_PRECONDITION", "CHECKPOINT_ELSEWHERE")


def test_a_later_attempt_removes_and_replaces_what_an_earlier_one_made(trained: Trained) -> None:
    other = write_checkpoint(trained.root, 9, {"a/weights": b"w"})
    trained.take(note_of(other), writer="0-2-5e0c2a91")
    end(trained.run, "failed_exit")
    services.resume(last(trained.run).run, uuid4())
    trained.take(
        {"type": "checkpoint_removed", "name": trained.checkpoint.name},
        {**note_of(other), "metric": 0.5},
    )
    assert [(one.name, one.attempt_number, one.metric) for one in trained.listed()] == [(other.name, 2, 0.5)]
    assert trained.read("a/weights", name=other.name, attempt_number=2) == b"w"
