"""What a training logs reaches the server: each point once, whatever is killed on the way."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attempt_tools import Attempt, LogServer, until
from bench_agent.track import files
from bench_agent.track.files import TrackFile, TrackFiles
from bench_agent.track.shipping import TrackShipping, Way
from bench_auth import InvalidError
from bench_track.errors import RecordError
from bench_track.records import MAGIC, pack_points, pack_shape

LOG = """
import os, time
from bench_track.records import MAGIC, pack_points, pack_shape
folder = os.environ["BENCH_TRACK"]
os.makedirs(folder, exist_ok=True)
path = f"{folder}/0-{os.getpid()}-5e0c2a91.records"
file = open(path, "ab", buffering=0)
file.write(MAGIC + pack_shape(1, ["loss"]))
def log(start, stop, seconds=0):
    for step in range(start, stop):
        file.write(pack_points(1, step=step, time=time.time_ns(), values=[step]))
        time.sleep(seconds)
"""
WRITER = "0-17-5e0c2a91"
WAIT = "while not os.path.exists('go'): time.sleep(0.01)\n"


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    with tempfile.TemporaryDirectory(prefix="bench-agent-test-") as folder:
        found = LogServer(Path(folder), 2_000_000_000)
        yield found
        found.kill()


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path / "attempt")


def start(attempt: Attempt, script: str) -> "subprocess.Popen[bytes]":
    return attempt.python(LOG + script, environment={"BENCH_TRACK": str(attempt.spool / "track")})


def losses(server: LogServer, name: str) -> list[float]:
    found: dict[str, list[float]] = server.ask(f"points {name}")
    return found.get("loss", [])


def counted(count: int) -> list[float]:
    return [float(step) for step in range(count)]


def test_points_arrive_while_the_training_runs_and_at_its_end(attempt: Attempt, server: LogServer) -> None:
    name = server.give(attempt)
    agent = start(attempt, f"log(0, 100)\n{WAIT}log(100, 5000)")
    until(lambda: losses(server, name) == counted(100))
    (attempt.work / "go").touch()
    assert agent.wait() == 0
    assert losses(server, name) == counted(5000)
    (received,) = (attempt.spool / "track").glob("*91.received")
    assert int(received.read_text()) == received.with_suffix(".records").stat().st_size
    assert attempt.notes == ""


def test_a_server_that_is_killed_and_started_anew(attempt: Attempt, server: LogServer) -> None:
    name = server.give(attempt)

    def has(wanted: int) -> bool:
        return len(losses(server, name)) > wanted

    agent = start(attempt, "log(0, 3000, 0.001)")
    for wanted in (200, 1000, 2000):
        until(partial(has, wanted))
        server.kill()
        server.start()
    assert agent.wait() == 0
    assert losses(server, name) == counted(3000)


def test_several_processes_write_at_once(attempt: Attempt, server: LogServer) -> None:
    name = server.give(attempt)
    script = LOG.replace("0-{os.getpid()}", "{os.fork() and 0 or 1}-{os.getpid()}") + "log(0, 2000)\n"
    script += "try: os.wait()\nexcept ChildProcessError: pass"
    agent = attempt.python(script, environment={"BENCH_TRACK": str(attempt.spool / "track")})
    assert agent.wait() == 0
    assert sorted(losses(server, name)) == sorted(counted(2000) * 2)


def test_the_machine_is_recorded(attempt: Attempt, server: LogServer) -> None:
    name = server.give(attempt)
    agent = start(attempt, WAIT)
    until(lambda: server.ask(f"points {name}"))
    (attempt.work / "go").touch()
    assert agent.wait() == 0
    found: dict[str, list[float]] = server.ask(f"points {name}")
    assert {"system/cpu_percent", "system/memory_bytes", "system/disk_percent"} <= set(found)
    assert all(value >= 0 for values in found.values() for value in values)
    assert found["system/memory_bytes"][0] > 1e6


def test_what_is_no_track_is_left_alone(attempt: Attempt, server: LogServer, tmp_path: Path) -> None:
    name = server.give(attempt)
    (tmp_path / "secret").write_bytes(MAGIC + pack_shape(1, ["stolen"]))
    script = f"""
os.symlink({str(tmp_path / "secret")!r}, f"{{folder}}/0-1-00000000.records")
os.mkfifo(f"{{folder}}/0-2-00000000.records")
os.mkdir(f"{{folder}}/0-3-00000000.records")
open(f"{{folder}}/x.records", "wb").write(b"x")
bad = open(f"{{folder}}/0-4-00000000.records", "wb")
bad.write(MAGIC + b"\\xff" * 100)
bad.close()
log(0, 50)
"""
    assert start(attempt, script).wait() == 0
    found: dict[str, list[float]] = server.ask(f"points {name}")
    assert {series for series in found if not series.startswith("system/")} == {"loss"}
    assert losses(server, name) == counted(50)
    assert "0-4-00000000 is not sent from byte 0 on" in attempt.notes


def test_a_record_that_is_cut_off_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "0-1-00000000.records"
    record = pack_points(1, step=0, time=0, values=[1.0])
    head = MAGIC + pack_shape(1, ["x"])
    path.write_bytes(head + record[:-1])
    (file,) = TrackFiles(tmp_path).look()
    assert file.portion() == head
    file.note_received(len(head))
    assert file.portion() == b""
    with path.open("ab") as more:
        more.write(record[-1:])
    assert file.portion() == record
    file.sync()
    file.close()
    again = TrackFile(path)
    assert again.received == len(head)
    again.close()


def test_a_large_record_is_read_whole(tmp_path: Path) -> None:
    from bench_track.records import pack_media

    path = tmp_path / "0-1-00000000.records"
    record = pack_media({"series": "x", "type": "image"}, bytes(10 << 20), step=0, time=0)
    path.write_bytes(MAGIC + record)
    file = TrackFile(path)
    assert file.portion() == MAGIC
    file.note_received(len(MAGIC))
    assert file.portion() == record
    path.write_bytes(MAGIC + b"\xff" * 30)
    with pytest.raises(RecordError):
        file.portion()
    file.close()


def test_no_folder_is_no_track(tmp_path: Path) -> None:
    assert TrackFiles(tmp_path / "absent").look() == []
    (tmp_path / "file").touch()
    assert TrackFiles(tmp_path / "file").look() == []


def test_what_a_killed_agent_did_not_send_is_sent_by_the_next(attempt: Attempt, server: LogServer) -> None:
    """The agent's end ends the training; whoever comes next sends the rest from where the server is."""
    name = server.give(attempt)
    agent = start(attempt, "log(0, 100000, 0.0005)")
    until(lambda: len(losses(server, name)) > 500)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    time.sleep(0.1)
    for process in _left(attempt):
        os.kill(process, signal.SIGKILL)
    (path,) = (attempt.spool / "track").glob("*91.records")
    written = (path.stat().st_size - len(MAGIC + pack_shape(1, ["loss"]))) // len(
        pack_points(1, step=0, time=0, values=[0.0])
    )
    again = attempt.start(sys.executable, "-c", "print('again')")
    assert again.wait() == 0
    assert losses(server, name) == counted(written)


def _left(attempt: Attempt) -> list[int]:
    """The trainings that lost their agent."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment: Any = (path / "environ").read_bytes()
        except OSError:
            continue
        if str(attempt.spool / "track").encode() in environment:
            found.append(int(path.name))
    return found


class Wakeless(threading.Event):
    """An end that is waited for without time passing; how often is counted."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return self.is_set()


def shipping(folder: Path, append: Callable[[list[Any]], int], ended: threading.Event) -> TrackShipping:
    """Of a folder, to a server that answers with how many bytes of the file it has."""

    def call(messages: Iterator[Any], timeout: float) -> Any:
        return SimpleNamespace(received_bytes=append(list(messages)), truncated=False)

    way = Way(append=call, message=lambda **fields: SimpleNamespace(**fields), names={})
    return TrackShipping(folder, way, pytest.fail, ended, drain_seconds=60)


def test_what_is_logged_while_a_call_is_made_goes_together_with_what_follows(tmp_path: Path) -> None:
    path, ended, calls = tmp_path / f"{WRITER}.records", Wakeless(), []
    path.write_bytes(MAGIC + pack_shape(1, ["loss"]))

    def append(messages: list[Any]) -> int:
        calls.append(ended.waits)
        size = path.stat().st_size
        if len(calls) < 5:
            with path.open("ab") as file:
                file.write(pack_points(1, step=len(calls), time=0, values=[1.0]))
        else:
            ended.set()
        return size

    assert shipping(tmp_path, append, ended).run()
    assert calls == [0, 1, 2, 3, 4]


def test_what_does_not_go_into_one_call_is_not_waited_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PORTION_BYTES", 1000)
    path, ended = tmp_path / f"{WRITER}.records", Wakeless()
    sent: list[bytes] = []
    points = [pack_points(1, step=step, time=0, values=[1.0]) for step in range(100)]
    path.write_bytes(MAGIC + pack_shape(1, ["loss"]) + b"".join(points))

    def append(messages: list[Any]) -> int:
        sent.extend(message.data for message in messages)
        count = sum(map(len, sent))
        if count == path.stat().st_size:
            ended.set()
        return count

    assert shipping(tmp_path, append, ended).run()
    assert b"".join(sent) == path.read_bytes()
    assert (len(sent) > 5, ended.waits) == (True, 1)


def test_a_server_that_has_less_than_it_said_gets_it_again_at_the_end(tmp_path: Path) -> None:
    path, ended = tmp_path / f"{WRITER}.records", Wakeless()
    path.write_bytes(MAGIC + pack_shape(1, ["loss"]) + pack_points(1, step=0, time=0, values=[1.0]))
    path.with_suffix(".received").write_text(str(len(MAGIC)))
    ended.set()
    starts = []

    def append(messages: list[Any]) -> int:
        starts.append(messages[0].start_offset)
        if starts == [len(MAGIC)]:
            error = InvalidError("it lies behind what there is")
            error.reason, error.metadata = "OFFSET_MISMATCH", {"received_bytes": "0"}
            raise error
        return path.stat().st_size

    assert shipping(tmp_path, append, ended).run()
    assert starts == [len(MAGIC), 0]
