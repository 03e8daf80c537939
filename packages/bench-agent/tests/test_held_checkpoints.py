"""Checkpoints that a run removes while they are sent, over a line that is slower than it saves."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server
from attempt_tools import until
from bench_agent.track.holding import SENDING, Hold
from bench_auth.credentials import CredentialStore
from bench_protos.tracks.v1 import tracks_pb2 as pb
from bench_track.checkpoint_folder import Checkpoint, CheckpointFile, read
from bench_track.errors import CheckpointError
from checkpoint_tools import contents, note_of, write_checkpoint
from crash_tools import unfinished_uploads
from proxy import harmful_proxy, nothing
from test_sent_checkpoints import Saver

ELSEWHERE = pb.CHECKPOINT_PLACE_ELSEWHERE

PIECE_SECONDS = 0.1
"""For 64 KiB, while the line is slow."""

LARGE = 40_000_000
"""More than buffers on the way hold, so that what the run says next arrives before all of it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def saver(tmp_path: Path, server: Server) -> Iterator[Saver]:
    with Saver(tmp_path / "run", server, server.create_project()) as made:
        yield made


class Line:
    """What an agent sends by: slow until it is set fast."""

    def __init__(self, port: int, server: Server) -> None:
        self.is_fast = threading.Event()
        store = CredentialStore(Path(os.environ["BENCH_CONFIG_DIR"]) / "credentials.json")
        credential = store.get(server.endpoint)
        assert credential is not None
        self.environment = {"BENCH_ENDPOINT": f"http://127.0.0.1:{port}", "BENCH_TOKEN": credential.token}


@pytest.fixture
def line(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    def slow(data: bytes, passed: int) -> bytes:
        made.is_fast.wait(PIECE_SECONDS if len(data) > 1000 else 0)
        return data

    with harmful_proxy(server.port, slow, nothing) as port:
        made = Line(port, server)
        yield made
        made.is_fast.set()


def agent(saver: Saver, line: Line, monkeypatch: pytest.MonkeyPatch) -> "subprocess.Popen[bytes]":
    """An agent that sends by that line; all else goes straight."""
    with monkeypatch.context() as changed:
        changed.setattr(Saver, "_environment", property(lambda _: {**os.environ, **line.environment}))
        return saver.agent()


def make(saver: Saver, step: int, *, best: bool = False, size: int = 4_000_000) -> Checkpoint:
    files = {"first": os.urandom(size), "second": os.urandom(1000)}
    made = write_checkpoint(saver.root, step, files)
    saver.say(note_of(made, best=best))
    return made


def places(saver: Saver) -> dict[str, int]:
    return dict(saver.listed()) if saver.run() else {}


def test_one_that_the_run_removes_meanwhile_arrives_and_stays_until_a_newer_does(
    saver: Saver, server: Server, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(saver, 1, size=LARGE)
    sending = agent(saver, line, monkeypatch)
    until(lambda: bool(unfinished_uploads(server)))
    passed_over, third, fourth = (make(saver, step) for step in (2, 3, 4))
    saver.remove(first)
    saver.remove(passed_over)
    until(lambda: places(saver) == {third.name: ELSEWHERE, fourth.name: ELSEWHERE})
    assert sending.poll() is None
    line.is_fast.set()
    until(lambda: saver.has_kept(third, fourth))
    saver.end(state="succeeded")
    assert sending.wait(timeout=60) == 0
    assert f"the run removed the checkpoint {first.name} while it was sent" in saver.notes
    assert not (saver.folder / SENDING).exists()


def test_the_best_is_not_held_up_by_newer_ones(
    saver: Saver, server: Server, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest, then the best, whatever has become the newest meanwhile."""
    best, newest = make(saver, 1, best=True, size=LARGE), make(saver, 2)
    sending = agent(saver, line, monkeypatch)
    until(lambda: bool(unfinished_uploads(server)))
    newer = make(saver, 3)
    until(lambda: newer.name in places(saver))
    line.is_fast.set()
    until(lambda: newest.name in saver.kept())
    while not saver.has_kept(best, newest, newer):
        assert list(saver.kept()) != [newest.name, newer.name]
    saver.end(state="succeeded")
    assert sending.wait(timeout=60) == 0


def test_what_a_killed_agent_held_is_removed(
    saver: Saver, server: Server, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(saver, 1)
    killed = agent(saver, line, monkeypatch)
    until(lambda: bool(unfinished_uploads(server)))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert [path.name for path in (saver.folder / SENDING).iterdir()] == [first.name]
    second = make(saver, 2)
    saver.remove(first)
    saver.end(state="succeeded")
    assert saver.sync() == (0, "")
    assert saver.has_kept(second)
    assert not (saver.folder / SENDING).exists()


def test_without_links_it_is_sent_from_where_it_is(saver: Saver) -> None:
    made = make(saver, 1)
    (saver.folder / SENDING).write_text("no folder")
    saver.end(state="succeeded")
    assert saver.sync() == (0, "")
    assert saver.has_kept(made)


def test_held_ones_have_no_part_in_what_becomes_of_their_folder(tmp_path: Path) -> None:
    made = write_checkpoint(tmp_path / "checkpoints", 1, {"net/weights": b"1", "args": b"2"})
    expected = contents(made.folder)
    hold = Hold(tmp_path)
    held = hold.take(made)
    assert held.folder != made.folder
    shutil.rmtree(made.folder)
    held = read(held.folder)
    held.verify()
    assert contents(held.folder) == expected
    with pytest.raises(FileNotFoundError, match="is removed"):
        hold.take(made)
    assert not (tmp_path / SENDING).exists()


def test_a_file_outside_of_the_folder_is_not_held(tmp_path: Path) -> None:
    made = write_checkpoint(tmp_path / "checkpoints", 1, {"weights": b"1"})
    (tmp_path / "checkpoints" / "other").write_bytes(b"x")
    for path in ("../other", str(tmp_path / "checkpoints" / "other")):
        files = (CheckpointFile(path=path, size=1, sha256=""),)
        changed = Checkpoint(folder=made.folder, step=1, time=1, metric=None, content="file", files=files)
        with pytest.raises(CheckpointError, match="which is not in it"):
            Hold(tmp_path).take(changed)
    assert not (tmp_path / SENDING).exists()
