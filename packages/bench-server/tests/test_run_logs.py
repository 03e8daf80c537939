"""The logs of attempts: no byte lost or stored twice, whoever is cut off; followed to the end."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bench_protos.runs.v1 import attempts_pb2 as pb
from bench_protos.runs.v1 import runs_pb2
from bench_protos.runs.v1.attempts_pb2_grpc import AttemptServiceStub
from bench_protos.runs.v1.runs_pb2_grpc import RunServiceStub
from bench_server.errors import Refused
from bench_server.runs import attempt_tokens, log_store, services, transitions
from bench_server.runs.models import Attempt
from bench_server.runs.states import State
from hypothesis import given
from hypothesis import strategies as st
from run_tools import new_run
from server_tools import channel_with, refusal

QUOTA = 1000
MARK = b"\n[bench: this log has its 1,000 bytes; what came behind is left out]\n"


class Talker:
    """An attempt that runs, its agent's calls, and those of its user."""

    def __init__(self, attempts_address: str, server_address: str) -> None:
        from bench_server.accounts.services import create_login

        self.run = new_run()
        self.attempt = self.run.last_attempt
        for state in (State.BUILDING, State.STARTING, State.RUNNING):
            transitions.move(self.attempt.pk, state, fencing=None)
        self.agent = AttemptServiceStub(channel_with(attempts_address, attempt_tokens.make(self.attempt)))
        assert self.run.creator is not None
        secret = create_login(self.run.creator, "test").secret
        self.user = RunServiceStub(channel_with(server_address, secret))

    def send(self, start: int, *pieces: bytes) -> pb.AppendLogResponse:
        return self.agent.AppendLog(messages(start, *pieces))

    def request(self, **fields: Any) -> runs_pb2.ReadLogRequest:
        fields.setdefault("source", runs_pb2.LOG_SOURCE_OUTPUT)
        return runs_pb2.ReadLogRequest(project_id=str(self.run.project_id), run_id=str(self.run.pk), **fields)

    def read(self, **fields: Any) -> tuple[bytes, runs_pb2.ReadLogResponse]:
        *answers, last = self.user.ReadLog(self.request(**fields))
        offset = answers[0].start_offset if answers else last.start_offset
        for answer in answers:
            assert (answer.start_offset, answer.complete) == (offset, False)
            offset += len(answer.data)
        assert (last.complete, last.data, last.start_offset) == (True, b"", offset)
        return b"".join(answer.data for answer in answers), last

    def row(self) -> Attempt:
        return Attempt.objects.get(pk=self.attempt.pk)

    def end(self) -> None:
        assert services.end_attempt(self.attempt, "succeeded", "", fencing=0)


def messages(start: int, *pieces: bytes) -> Iterator[pb.AppendLogRequest]:
    for number, data in enumerate(pieces):
        yield pb.AppendLogRequest(start_offset=0 if number else start, data=data)


@pytest.fixture
def talker(attempts_address: str, server_address: str) -> Talker:
    return Talker(attempts_address, server_address)


def test_a_log_is_what_was_sent_however_often(talker: Talker) -> None:
    assert talker.send(0, b"one\n", b"t\0wo\n").received_bytes == 9
    assert talker.send(4, b"t\0wo\n", b"\xffthree").received_bytes == 15
    assert talker.send(0, b"one\n").received_bytes == 15
    assert talker.read()[0] == b"one\nt\0wo\n\xffthree"
    assert (talker.row().log_bytes, talker.row().log_truncated) == (15, False)
    heard = talker.agent.Heartbeat(pb.HeartbeatRequest(training=True, spool_bytes=20))
    assert heard.received_bytes == 15
    assert talker.row().last_contact_time is not None


def test_a_gap_is_refused_and_says_where_to_go_on(talker: Talker) -> None:
    talker.send(0, b"abc")
    with pytest.raises(grpc.RpcError):
        talker.send(4, b"x")
    with pytest.raises(Refused) as caught:
        log_store.append(talker.attempt, 4, [b"x"])
    assert (caught.value.reason, caught.value.metadata) == ("OFFSET_MISMATCH", {"received_bytes": "3"})
    assert talker.send(3, b"d").received_bytes == 4


def test_messages_that_are_empty_or_too_long(talker: Talker) -> None:
    for data in (b"", b"x" * ((1 << 20) + 1)):
        found = refusal(
            lambda request, timeout: talker.agent.AppendLog(iter([request])), pb.AppendLogRequest(data=data)
        )
        assert found == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert talker.read()[0] == b""


def test_one_call_sends_a_log_at_a_time(talker: Talker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_store, "LOCK_SECONDS", 0.0)
    first, go_on = messages(0, b"first"), threading.Event()

    def slow() -> Iterator[pb.AppendLogRequest]:
        yield from first
        go_on.wait(60)
        yield pb.AppendLogRequest(data=b" and last")

    call = talker.agent.AppendLog.future(slow())
    while talker.read()[0] != b"first":
        pass
    with pytest.raises(Refused, match="another call"):
        log_store.append(talker.attempt, 0, [b"x"])
    go_on.set()
    assert call.result().received_bytes == 14
    assert talker.read()[0] == b"first and last"


def test_a_call_that_is_cut_off_leaves_what_it_sent(talker: Talker) -> None:
    never = threading.Event()

    def endless() -> Iterator[pb.AppendLogRequest]:
        yield pb.AppendLogRequest(data=b"some")
        never.wait(60)

    call = talker.agent.AppendLog.future(endless())
    while talker.read()[0] != b"some":
        pass
    call.cancel()
    never.set()
    assert talker.send(2, b"mething").received_bytes == 9  # waits until the server has noticed
    assert talker.read()[0] == b"something"


@given(
    size=st.sampled_from([50, QUOTA - 1, QUOTA, QUOTA + 1, 3 * QUOTA]),
    sent=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 700)), max_size=12),
)
def test_any_repeats_give_the_same_log(
    tmp_path_factory: pytest.TempPathFactory, size: int, sent: list[tuple[float, int]]
) -> None:
    whole = random.Random(0).randbytes(size)
    path = tmp_path_factory.mktemp("log") / "1"
    reached = 0
    for share, length in [*sent, (1.0, size)]:
        start = round(share * reached)
        log = log_store.LogFile(path, QUOTA)
        log.take(start, whole[start : start + length])
        reached = max(reached, min(size, start + length))
        assert log.truncated == (reached > QUOTA)
        log.close()
    assert path.read_bytes() == whole[:QUOTA] + (MARK if size > QUOTA else b"")


def test_beyond_the_quota_nothing_is_kept_and_nothing_is_refused(
    talker: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_store, "QUOTA_BYTES", QUOTA)
    monkeypatch.setattr(log_store.append, "__kwdefaults__", {"quota": QUOTA})
    answer = talker.send(0, b"x" * 900, b"y" * 900)
    assert (answer.received_bytes, answer.truncated) == (1800, True)
    answer = talker.send(5_000, b"z")
    assert (answer.received_bytes, answer.truncated) == (5_001, True)
    assert talker.agent.Heartbeat(pb.HeartbeatRequest()).received_bytes == QUOTA
    talker.end()
    data, last = talker.read(follow=True)
    assert (data, last.truncated) == (b"x" * 900 + b"y" * 100 + MARK, True)
    assert (talker.row().log_bytes, talker.row().log_truncated) == (len(data), True)


def test_reading_from_an_offset(talker: Talker) -> None:
    talker.send(0, b"0123456789")
    assert talker.read(start_offset=7)[0] == b"789"
    assert talker.read(start_offset=10)[0] == b""
    assert talker.read(start_offset=-4)[0] == b"6789"
    assert talker.read(start_offset=-40)[0] == b"0123456789"
    out_of_range, field = ("OUT_OF_RANGE", "RANGE_INVALID"), ("INVALID_ARGUMENT", "FIELD_INVALID")
    cases: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"start_offset": 11}, out_of_range),
        ({"attempt_number": 2}, field),
        ({"source": runs_pb2.LOG_SOURCE_UNSPECIFIED}, field),
    ]
    for fields, expected in cases:
        request = talker.request(**fields)
        assert refusal(lambda request, timeout: list(talker.user.ReadLog(request)), request) == expected


def test_a_follower_gets_every_byte_and_the_end(talker: Talker) -> None:
    whole = random.Random(1).randbytes(3_000_000)
    followers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: followers.append(talker.read(follow=True)[0])) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for start in range(0, len(whole), 700_000):
        talker.send(start, whole[start : start + 700_000])
    talker.end()
    for thread in threads:
        thread.join(30)
    assert [follower == whole for follower in followers] == [True] * 3


def test_the_log_of_the_build_is_followed_until_it_is_built(talker: Talker) -> None:
    run = new_run()
    talker.run, attempt = run, run.last_attempt
    build: dict[str, Any] = {"source": runs_pb2.LOG_SOURCE_BUILD}
    assert talker.read(**build)[0] == b""
    found: list[bytes] = []
    follower = threading.Thread(target=lambda: found.append(talker.read(follow=True, **build)[0]))
    follower.start()
    transitions.move(attempt.pk, State.BUILDING, fencing=None)
    path = log_store.build_path_of(attempt)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"step 1\nstep 2\n")
    transitions.move(attempt.pk, State.STARTING, fencing=None)
    follower.join(20)
    assert found == [b"step 1\nstep 2\n"]


def test_the_token_is_dead_once_the_attempt_has_ended(talker: Talker) -> None:
    talker.send(0, b"x")
    talker.end()
    invalid = ("UNAUTHENTICATED", "TOKEN_INVALID")
    assert refusal(talker.agent.Heartbeat, pb.HeartbeatRequest()) == invalid


def test_a_full_disk_loses_nothing(talker: Talker, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    room = [2]
    write = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[: room[0]], offset)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="No space left"):
        log_store.append(talker.attempt, 0, [b"abcd"])
    room[0] = 100
    assert log_store.append(talker.attempt, 0, [b"abcd"]).received == 4
    assert log_store.path_of(talker.attempt).read_bytes() == b"abcd"


def test_logs_are_for_the_server_alone(talker: Talker) -> None:
    talker.send(0, b"x")
    path: Path = log_store.path_of(talker.attempt)
    assert path.stat().st_mode & 0o777 == 0o600
    log_store.finish(talker.attempt)
    assert talker.row().log_bytes == 1


SERVE = """
import signal, sys
from pathlib import Path
import django
django.setup()
from bench_server.data_folder import DataFolder
from bench_server.rpc.serving import AttemptsServer
server = AttemptsServer(DataFolder(Path(sys.argv[1]), ""))
print("ready", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def serving(place: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that serves attempts on a socket below `place`; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, place], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_no_byte_is_lost_or_stored_twice_when_the_server_is_killed(talker: Talker, tmp_path: Path) -> None:
    whole = random.Random(2).randbytes(20_000_000)
    channel = channel_with(f"unix:{tmp_path}/runs/socket/attempts.sock", attempt_tokens.make(talker.attempt))
    agent = AttemptServiceStub(channel)

    def send(begin: int) -> int:
        """All that is left, from a byte on that the server said it has; how far that came."""
        pieces = (whole[at : at + 50_000] for at in range(begin, len(whole), 50_000))
        try:
            return agent.AppendLog(messages(begin, *pieces), wait_for_ready=True).received_bytes
        except grpc.RpcError:
            return agent.Heartbeat(pb.HeartbeatRequest(), wait_for_ready=True).received_bytes

    reached: list[int] = [0]

    def send_all() -> None:
        while reached[-1] < len(whole):
            reached.append(send(reached[-1]))

    sender = threading.Thread(target=send_all)
    sender.start()
    path = log_store.path_of(talker.attempt)
    for share in (0.2, 0.5, 0.8):
        with serving(tmp_path):
            while sender.is_alive() and (not path.exists() or path.stat().st_size < share * len(whole)):
                time.sleep(0.001)
    with serving(tmp_path):
        sender.join(60)
    assert path.read_bytes() == whole
    assert len(reached) > 2  # it was cut off
