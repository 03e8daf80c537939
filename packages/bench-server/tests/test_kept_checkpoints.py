"""Checkpoints of runs that were started elsewhere: kept whole or not at all, freed when they are removed."""

import datetime
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from bench_auth import call, translate
from bench_protos.runs.v1 import runs_pb2
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_protos.tracks.v1.tracks_pb2_grpc import TrackServiceStub
from bench_server.datasets import blobs, garbage
from bench_server.datasets.models import Blob, ProjectBlob
from bench_server.errors import Refused
from bench_server.projects.models import Project as ProjectRow
from bench_server.runs.models import Attempt
from bench_server.tracks import forgetting, ingest, keeping
from bench_server.tracks.models import Checkpoint as CheckpointRow
from bench_server.tracks.models import CheckpointFile
from bench_track.checkpoint_folder import Checkpoint
from bench_track.records import MAGIC, pack_note, pack_points
from blake3 import blake3
from checkpoint_tools import note_of, write_checkpoint
from django.utils import timezone
from server_tools import channel_with, refusal
from test_datasets import Project
from uuid6 import uuid7

SERVER, ELSEWHERE = pb.CHECKPOINT_PLACE_SERVER, pb.CHECKPOINT_PLACE_ELSEWHERE


class Elsewhere(Project):
    """A project with a run that was started elsewhere."""

    def __init__(self, address: str, root: Path) -> None:
        super().__init__(address)
        self.tracks, self.root = TrackServiceStub(channel_with(address, self.account.token)), root
        self.run_id = self.start()
        self._sent = b""

    def start(self) -> str:
        request = pb.StartRunRequest(project_id=self.id, run_id=str(uuid7()), command=["train.py"])
        return call(self.tracks.StartRun, request).run.run_id

    def say(self, *records: bytes) -> None:
        """Have the server take what the run says next."""
        before = len(self._sent)
        data = (b"" if before else MAGIC) + b"".join(records)
        ingest.append(Attempt.objects.get(run=UUID(self.run_id)), "0-1-5e0c2a91", before, [data])
        self._sent += data

    def make(self, step: int, *, best: bool = False, **files: bytes) -> Checkpoint:
        """A checkpoint, which the run has told of."""
        made = write_checkpoint(
            self.root, step, files or {"weights": os.urandom(3_000_000), "args": os.urandom(8)}
        )
        self.say(pack_note(note_of(made, best=best)))
        return made

    def upload_files(self, made: Checkpoint) -> list[str]:
        return [self.upload((made.folder / file.path).read_bytes()) for file in made.files]

    def request(self, made: Checkpoint, digests: list[str], **fields: Any) -> pb.KeepCheckpointRequest:
        known = {"run_id": self.run_id, "name": made.name, "document": made.document(), "digests": digests}
        return pb.KeepCheckpointRequest(project_id=self.id, **{**known, **fields})

    def keep(self, made: Checkpoint, **fields: Any) -> pb.KeepCheckpointResponse:
        return call(self.tracks.KeepCheckpoint, self.request(made, self.upload_files(made), **fields))

    def listed(self) -> dict[str, int]:
        request = pb.ListCheckpointsRequest(project_id=self.id, run_id=self.run_id)
        return {one.name: one.place for one in call(self.tracks.ListCheckpoints, request).checkpoints}

    def read(self, made: Checkpoint, path: str, **fields: Any) -> bytes:
        request = pb.DownloadCheckpointRequest(
            project_id=self.id, run_id=self.run_id, attempt_number=1, name=made.name, path=path, **fields
        )
        return b"".join(answer.data for answer in self.tracks.DownloadCheckpoint(request))

    @property
    def stored_bytes(self) -> int:
        return blobs.stored_bytes(ProjectRow.objects.get(pk=self.id))


@pytest.fixture
def elsewhere(server_address: str, tmp_path: Path) -> Elsewhere:
    return Elsewhere(server_address, tmp_path / "checkpoints")


def digests_of(made: Checkpoint) -> list[str]:
    return [blake3((made.folder / file.path).read_bytes()).hexdigest() for file in made.files]


def removed(made: Checkpoint) -> bytes:
    return pack_note({"type": "checkpoint_removed", "name": made.name})


def test_it_is_kept_and_read(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(5)
    assert elsewhere.listed() == {made.name: ELSEWHERE}
    with pytest.raises(grpc.RpcError) as caught:
        elsewhere.read(made, "weights")
    assert translate(caught.value).reason == "CHECKPOINT_ELSEWHERE"  # type: ignore[attr-defined]
    answer = elsewhere.keep(made)
    assert not answer.existed
    assert (answer.checkpoint.name, answer.checkpoint.place) == (made.name, SERVER)
    assert answer.checkpoint.size_bytes == made.size_bytes == elsewhere.stored_bytes
    assert elsewhere.keep(made).existed
    assert elsewhere.stored_bytes == made.size_bytes
    assert elsewhere.listed() == {made.name: SERVER}
    for path in ("checkpoint.json", "weights", "args"):
        content = (made.folder / path).read_bytes()
        assert elsewhere.read(made, path) == content
        assert elsewhere.read(made, path, start_offset=1, length_bytes=1) == content[1:2]
        with pytest.raises(grpc.RpcError, match=r"the (blob|file) has"):
            elsewhere.read(made, path, start_offset=len(content), length_bytes=1)
    with pytest.raises(grpc.RpcError, match="has no file 'other'"):
        elsewhere.read(made, "other")


def test_its_files_are_among_those_that_the_run_left(elsewhere: Elsewhere) -> None:
    def part_of(path: str, **fields: Any) -> runs_pb2.DownloadArtifactRequest:
        return runs_pb2.DownloadArtifactRequest(
            project_id=elsewhere.id, run_id=elsewhere.run_id, path=path, **fields
        )

    made, other = elsewhere.make(5), elsewhere.make(6)
    runs = RunServiceStub(channel_with(elsewhere.address, elsewhere.account.token))
    everything = runs_pb2.ListArtifactsRequest(project_id=elsewhere.id, run_id=elsewhere.run_id)
    assert not runs.ListArtifacts(everything).artifacts
    elsewhere.keep(made)
    listed = runs.ListArtifacts(everything).artifacts
    names = ("args", "checkpoint.json", "weights")
    assert [file.path for file in listed] == [f"checkpoints/{made.name}/{name}" for name in names]
    for name, file in zip(names, listed, strict=True):
        content = (made.folder / name).read_bytes()
        assert file.size_bytes == len(content)
        for start, length in ((0, 0), (1, 2)):
            request = part_of(file.path, start_offset=start, length_bytes=length)
            data = b"".join(answer.data for answer in runs.DownloadArtifact(request))
            assert data == content[start : start + length if length else None]

    def read(request: Any, timeout: float) -> list[Any]:
        return list(runs.DownloadArtifact(request))

    for path in (f"checkpoints/{made.name}/other", f"checkpoints/{other.name}/weights", "checkpoints"):
        assert refusal(read, part_of(path)) == ("NOT_FOUND", "ARTIFACT_NOT_FOUND"), path


def test_what_is_not_what_the_training_wrote_is_not_kept(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(5, a=b"aaaa", b=b"bbbb")
    missing = elsewhere.request(made, digests_of(made))
    assert refusal(elsewhere.tracks.KeepCheckpoint, missing) == ("FAILED_PRECONDITION", "BLOBS_MISSING")
    right = elsewhere.upload_files(made)
    other, short = elsewhere.upload(b"aaab"), elsewhere.upload(b"aaa")
    document = json.loads(made.document())
    invalid = ("INVALID_ARGUMENT", "CHECKPOINT_INVALID")
    for digests, fields, reason in (
        ([other, right[1]], {}, invalid),
        ([short, right[1]], {}, invalid),
        (right[::-1], {}, invalid),
        (right, {"document": b"{}"}, invalid),
        (right, {"document": json.dumps({**document, "version": 2}).encode()}, invalid),
        (right[:1], {}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (["x", right[1]], {}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (right, {"document": b" " * ((2 << 20) + 1)}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (right, {"name": "", "unannounced": True}, ("INVALID_ARGUMENT", "FIELD_INVALID")),
        (right, {"run_id": str(uuid7())}, ("NOT_FOUND", "RUN_NOT_FOUND")),
    ):
        request = elsewhere.request(made, digests, **fields)
        assert refusal(elsewhere.tracks.KeepCheckpoint, request) == reason, fields
        assert elsewhere.listed() == {made.name: ELSEWHERE}
    assert not elsewhere.keep(made).existed


def test_a_blob_that_was_changed_on_the_disk_has_to_be_sent_again(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(5, a=b"aaaa")
    [digest] = elsewhere.upload_files(made)
    blobs.the_store().remove(digest)
    request = elsewhere.request(made, [digest])
    assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("FAILED_PRECONDITION", "BLOBS_MISSING")
    assert not elsewhere.keep(made).existed


def test_blobs_of_another_project_are_not_taken(elsewhere: Elsewhere, server_address: str) -> None:
    made = elsewhere.make(5, secret=os.urandom(100))
    digests = Elsewhere(server_address, elsewhere.root).upload_files(made)
    request = elsewhere.request(made, digests)
    assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("FAILED_PRECONDITION", "BLOBS_MISSING")


def test_one_that_is_removed_frees_its_bytes_and_no_others(elsewhere: Elsewhere) -> None:
    shared, own = os.urandom(1000), os.urandom(2000)
    first = elsewhere.make(1, tokenizer=shared, weights=own)
    second = elsewhere.make(2, tokenizer=shared)
    elsewhere.keep(first)
    elsewhere.keep(second)
    assert elsewhere.stored_bytes == 3000
    elsewhere.say(removed(first))
    assert elsewhere.listed() == {second.name: SERVER}
    assert elsewhere.stored_bytes == 1000
    gone, kept = blake3(own).hexdigest(), blake3(shared).hexdigest()
    assert blobs.the_store().size(gone) is None
    assert not Blob.objects.filter(pk=gone).exists()
    assert elsewhere.read(second, "tokenizer") == shared
    elsewhere.say(removed(second))
    assert (elsewhere.stored_bytes, blobs.the_store().size(kept)) == (0, None)


def test_one_that_comes_after_its_removal_stays_until_a_newer_one_is_there(elsewhere: Elsewhere) -> None:
    first, second, third = (elsewhere.make(step, weights=os.urandom(1000)) for step in (1, 2, 3))
    elsewhere.say(removed(first))
    assert elsewhere.listed() == {second.name: ELSEWHERE, third.name: ELSEWHERE}
    elsewhere.keep(first)  # it was on its way
    elsewhere.say(removed(second))
    assert elsewhere.listed() == {first.name: SERVER, third.name: ELSEWHERE}
    assert elsewhere.read(first, "weights") == (first.folder / "weights").read_bytes()
    elsewhere.keep(third)
    assert elsewhere.listed() == {third.name: SERVER}
    assert elsewhere.stored_bytes == 1000
    for late in (first, second):
        request = elsewhere.request(late, elsewhere.upload_files(late))
        assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")
    assert elsewhere.stored_bytes == 1000


def test_the_newest_that_is_there_stays_until_a_newer_one_is(elsewhere: Elsewhere) -> None:
    first, second = elsewhere.make(1), elsewhere.make(2)
    elsewhere.keep(first)
    elsewhere.say(removed(first))
    assert elsewhere.listed() == {first.name: SERVER, second.name: ELSEWHERE}
    elsewhere.say(removed(second))  # the run has none any more: the server need not either
    assert (elsewhere.listed(), elsewhere.stored_bytes) == ({}, 0)


def test_the_best_that_is_there_stays_until_a_better_one_is(elsewhere: Elsewhere) -> None:
    best, plain = elsewhere.make(1, best=True), elsewhere.make(2)
    elsewhere.keep(best)
    elsewhere.keep(plain)
    better, newest = elsewhere.make(3, best=True), elsewhere.make(4)
    elsewhere.keep(newest)
    elsewhere.say(removed(best), removed(plain))
    assert elsewhere.listed() == {best.name: SERVER, better.name: ELSEWHERE, newest.name: SERVER}
    elsewhere.keep(better)
    assert elsewhere.listed() == {better.name: SERVER, newest.name: SERVER}
    elsewhere.say(removed(better))  # as where the best are not kept at all
    assert elsewhere.listed() == {newest.name: SERVER}


def test_one_that_is_made_again_after_its_removal(elsewhere: Elsewhere) -> None:
    first, second = elsewhere.make(1, weights=b"first"), elsewhere.make(2)
    elsewhere.keep(first)
    elsewhere.say(removed(first))
    again = write_checkpoint(elsewhere.root / "again", 1, {"weights": b"again"})
    elsewhere.say(pack_note(note_of(again)))
    assert elsewhere.listed() == {again.name: ELSEWHERE, second.name: ELSEWHERE}
    elsewhere.keep(again)
    assert elsewhere.read(again, "weights") == b"again"


def test_of_those_that_never_came_only_some_are_remembered(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "MAX_REMOVED", 2)
    made = [elsewhere.make(step, weights=b"w") for step in range(5)]
    elsewhere.say(*map(removed, made[:4]))
    rows = CheckpointRow.objects.filter(attempt__run=UUID(elsewhere.run_id)).order_by("pk")
    assert [row.name for row in rows] == [one.name for one in made[2:]]


def test_a_blob_that_another_project_has_stays(elsewhere: Elsewhere, server_address: str) -> None:
    made = elsewhere.make(1, weights=os.urandom(1000))
    [digest] = Elsewhere(server_address, elsewhere.root).upload_files(made)
    elsewhere.keep(made)
    elsewhere.say(removed(made))
    assert (elsewhere.stored_bytes, blobs.the_store().size(digest)) == (0, 1000)


def test_nothing_is_freed_by_what_was_not_taken(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(1)
    elsewhere.keep(made)
    with pytest.raises(Refused, match="shape 7 was not said"):
        elsewhere.say(removed(made), pack_points(7, step=0, time=0, values=[1.0]))
    assert elsewhere.listed() == {made.name: SERVER}
    assert elsewhere.read(made, "weights") == (made.folder / "weights").read_bytes()


def test_what_could_not_be_freed_is_garbage(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    made, kept = elsewhere.make(1), elsewhere.make(2)
    elsewhere.keep(made)
    elsewhere.keep(kept)

    def fail(*_: object) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr(garbage, "free", fail)
    elsewhere.say(removed(made))
    monkeypatch.undo()
    assert elsewhere.stored_bytes == made.size_bytes + kept.size_bytes
    past = timezone.now() - datetime.timedelta(days=2)
    ProjectBlob.objects.filter(project=elsewhere.uuid).update(create_time=past)
    Blob.objects.filter(projects__project=elsewhere.uuid).update(create_time=past)
    garbage.collect_garbage(remove=True)
    assert elsewhere.stored_bytes == kept.size_bytes
    assert elsewhere.read(kept, "weights") == (kept.folder / "weights").read_bytes()


def test_one_that_the_run_has_not_told_of(elsewhere: Elsewhere) -> None:
    made = write_checkpoint(elsewhere.root, 7, {"weights": b"7"}, 0.25)
    request = elsewhere.request(made, elsewhere.upload_files(made))
    assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")
    assert elsewhere.stored_bytes == 0
    kept = elsewhere.keep(made, unannounced=True).checkpoint
    assert (kept.name, kept.step_number, kept.metric, kept.place) == (made.name, 7, 0.25, SERVER)
    assert kept.write_time.ToMicroseconds() == made.time // 1000
    elsewhere.say(pack_note(note_of(made)))  # it came after all
    assert elsewhere.listed() == {made.name: SERVER}


def test_another_one_of_its_name_is_another_one(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(1, weights=b"first")
    elsewhere.keep(made)
    elsewhere.say(pack_note(note_of(made) | {"time": 5}))
    assert elsewhere.listed() == {made.name: ELSEWHERE}
    assert elsewhere.stored_bytes == 0
    elsewhere.keep(made)
    again = write_checkpoint(elsewhere.root / "again", 1, {"weights": b"second"})
    assert not elsewhere.keep(again).existed
    assert elsewhere.read(again, "weights") == b"second"
    assert elsewhere.stored_bytes == len(b"second")


def test_several_at_once_keep_it_once(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(1)
    request = elsewhere.request(made, elsewhere.upload_files(made))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: call(elsewhere.tracks.KeepCheckpoint, request), range(4)))
    assert sorted(answer.existed for answer in answers) == [False, True, True, True]
    assert CheckpointFile.objects.filter(checkpoint__attempt__run=UUID(elsewhere.run_id)).count() == 2


def test_one_that_is_removed_while_it_is_compared_is_not_kept(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = elsewhere.make(1)
    compare = keeping._compare

    def compare_and_remove(*arguments: Any) -> None:
        compare(*arguments)
        elsewhere.say(removed(made))

    monkeypatch.setattr(keeping, "_compare", compare_and_remove)
    request = elsewhere.request(made, elsewhere.upload_files(made))
    assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("NOT_FOUND", "CHECKPOINT_NOT_FOUND")
    assert (elsewhere.listed(), elsewhere.stored_bytes) == ({}, 0)


def test_runs_and_projects_go_with_what_is_kept(elsewhere: Elsewhere) -> None:
    made = elsewhere.make(1)
    elsewhere.keep(made)
    call(
        elsewhere.tracks.FinishRun,
        pb.FinishRunRequest(project_id=elsewhere.id, run_id=elsewhere.run_id, reason="succeeded"),
    )
    elsewhere.account.delete_project(elsewhere.id)
    assert not CheckpointFile.objects.filter(checkpoint__attempt__run=UUID(elsewhere.run_id)).exists()


def test_the_servers_own_runs_have_theirs(elsewhere: Elsewhere) -> None:
    from run_tools import new_run

    made = elsewhere.make(1)
    run = new_run(ProjectRow.objects.get(pk=elsewhere.id))
    request = elsewhere.request(made, elsewhere.upload_files(made), run_id=str(run.pk))
    assert refusal(elsewhere.tracks.KeepCheckpoint, request) == ("FAILED_PRECONDITION", "RUN_NOT_EXTERNAL")
