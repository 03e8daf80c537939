"""What a run left, listed and downloaded: its own files, whatever it made its folders into."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from bench_server.runs import artifacts
from bench_server.runs.models import Run
from run_tools import bundle
from server_tools import refusal
from test_runs import Trainer

NOT_FOUND = ("NOT_FOUND", "ARTIFACT_NOT_FOUND")


class Left(Trainer):
    """A project with a run that left files."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        from django.conf import settings

        self.digest = self.upload(bundle(train="print(1)", Models__net="net"))
        self.run = self.submit()
        self.folder: Path = settings.FOLDER.runs / self.run.run_id
        self.put("work/train.py", b"print(1)")
        self.put("work/Models/net.py", b"net")

    def put(self, path: str, data: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def row(self) -> Run:
        return Run.objects.get(pk=self.run.run_id)

    def listed(self, **fields: Any) -> pb.ListArtifactsResponse:
        request = pb.ListArtifactsRequest(project_id=self.id, run_id=self.run.run_id, **fields)
        return self.runs.ListArtifacts(request)

    def paths(self) -> list[str]:
        return [artifact.path for artifact in self.listed().artifacts]

    def range_of(self, path: str, **fields: Any) -> pb.DownloadArtifactRequest:
        return pb.DownloadArtifactRequest(project_id=self.id, run_id=self.run.run_id, path=path, **fields)

    def download_artifact(self, path: str, **fields: Any) -> bytes:
        return b"".join(answer.data for answer in self.runs.DownloadArtifact(self.range_of(path, **fields)))

    def refused(self, path: str, **fields: Any) -> tuple[str, str]:
        return refusal(
            lambda request, timeout: list(self.runs.DownloadArtifact(request)), self.range_of(path, **fields)
        )


@pytest.fixture
def left(server_address: str) -> Left:
    return Left(server_address)


def test_outputs_and_new_or_changed_files_are_listed(left: Left) -> None:
    assert left.paths() == []
    file = left.put("output/model.pt", b"x" * 10)
    os.utime(file, (1_700_000_000, 1_700_000_000))
    left.put("output/deep/er.txt", b"")
    left.put("work/outputs/1/hydra.yaml", b"lr: 1")
    left.put("work/Models/net.py", b"NET")  # of the same size
    left.put("work/Models/__pycache__/net.pyc", b"x")
    assert left.paths() == [
        "output/deep/er.txt",
        "output/model.pt",
        "work/Models/net.py",
        "work/outputs/1/hydra.yaml",
    ]
    model = left.listed().artifacts[1]
    assert (model.size_bytes, model.modify_time.seconds) == (10, 1_700_000_000)


def test_lists_are_paged(left: Left) -> None:
    for name in "abcde":
        left.put(f"output/{name}", b"")
    first = left.listed(page_size=3)
    second = left.listed(page_size=3, page_token=first.next_page_token)
    found = [artifact.path[-1] for artifact in [*first.artifacts, *second.artifacts]]
    assert (found, second.next_page_token) == (list("abcde"), "")


def test_ranges(left: Left) -> None:
    data = os.urandom(2_500_000)
    left.put("output/a", data)
    left.put("output/empty", b"")
    assert left.download_artifact("output/a") == data
    assert left.download_artifact("output/a", start_offset=5, length_bytes=7) == data[5:12]
    assert left.download_artifact("output/empty") == b""
    for fields in (
        {"start_offset": -1},
        {"start_offset": 2_500_001},
        {"length_bytes": 2_500_001},
        {"length_bytes": -1},
    ):
        assert left.refused("output/a", **fields) == ("OUT_OF_RANGE", "RANGE_INVALID")


def test_nothing_outside_is_reached(left: Left, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not for runs")
    output = left.put("output/own", b"own").parent
    (output / "link").symlink_to(secret)
    (output / "folder").symlink_to(tmp_path)
    (output / "up").symlink_to("..")
    (left.folder / "1").mkdir()
    (left.folder / "1" / "attempt.json").write_bytes(b"{}")
    os.mkfifo(output / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(output / "s"))
        assert left.paths() == ["output/own"]
        for path in (
            "output/link",
            "output/folder/secret",
            "output/up/1/attempt.json",
            "output/pipe",
            "output/s",
            "output/../1/attempt.json",
            "output/./own",
            "output//own",
            "/etc/passwd",
            "1/attempt.json",
            "work/../output/own",
            "output",
            "output/",
            "output/own/",
            "output/own/x",
            "output/\0",
            "",
            ".",
        ):
            assert left.refused(path) == NOT_FOUND, path


def test_a_folder_that_is_itself_a_link(left: Left, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not for runs")
    (left.folder / "output").symlink_to(tmp_path)
    assert left.paths() == []
    assert left.refused("output/secret") == NOT_FOUND


def test_hostile_names_are_shown_and_found(left: Left) -> None:
    folder = left.put("output/ok", b"ok").parent
    names = [b"\xff\xfe", b"new\nline", b"-rf", b"..hidden", "größe".encode(), b"\x1b[31mred", b"a\\b"]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(name)
    paths = left.paths()
    assert len(paths) == len(names) + 1
    assert sorted(map(left.download_artifact, paths)) == sorted([*names, b"ok"])


def test_a_maze_is_not_walked_to_its_end(left: Left) -> None:
    folder = left.put("output/ok", b"ok").parent
    here = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert left.paths() == ["output/ok"]
    left.stop(left.run)
    left.runs.DeleteRun(pb.DeleteRunRequest(project_id=left.id, run_id=left.run.run_id))
    assert not left.folder.exists()


def test_times_that_no_message_takes(left: Left) -> None:
    for name, seconds in {"early": -(10**11), "late": 10**12}.items():
        os.utime(left.put(f"output/{name}", b""), (0, seconds))
    assert left.paths() == ["output/early", "output/late"]


def test_a_run_that_has_not_begun_left_nothing(server_address: str) -> None:
    project = Trainer(server_address)
    run = Run.objects.get(pk=project.submit().run_id)
    assert artifacts.artifacts_of(run) == []
