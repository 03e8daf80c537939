"""The output reaches the server: all of it, once, whatever happens on the way."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from attempt_tools import Attempt, LogServer, until

WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
SLOWLY = "import time\nfor i in range(3000): print(i, 'x' * 1000); time.sleep(0.001)"
SLOW_OUTPUT = b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(3000))

LINE, MUCH_BYTES = b"0123456789abcde\n", 200 << 20
MUCH = "import os\nblock = b'0123456789abcde\\n' * 4096\nfor _ in range(3200): os.write(1, block)\n"


@contextmanager
def log_server(quota: int = 2_000_000_000) -> Iterator[LogServer]:
    with tempfile.TemporaryDirectory(prefix="bench-agent-test-") as folder:
        server = LogServer(Path(folder), quota)
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    with log_server() as found:
        yield found


@pytest.fixture
def alone(tmp_path: Path) -> Attempt:
    """An attempt whose server is away."""
    return Attempt(tmp_path / "attempt")


@pytest.fixture
def attempt(alone: Attempt, server: LogServer) -> Attempt:
    server.give(alone)
    return alone


@pytest.mark.parametrize(
    "script",
    [
        "",
        "print('one line')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 3000)",
        "print('Größe 模型 🐕', end='')",
        "import time\nfor i in range(30): print(f'\\r{i} %', end='', flush=True); time.sleep(0.02)",
        "import sys\nfor i in range(20000): print('line', i, file=(sys.stdout, sys.stderr)[i % 2])",
    ],
    ids=["nothing", "line", "binary", "unicode", "progress", "lines"],
)
def test_the_server_has_what_was_written(attempt: Attempt, script: str) -> None:
    assert attempt.python(script, environment={"PYTHONIOENCODING": "utf-8"}).wait() == 0
    assert attempt.notes == ""
    assert attempt.kept == attempt.output
    assert attempt.exit["spool_bytes"] == len(attempt.output)


def test_output_arrives_while_the_training_runs(alone: Attempt, server: LogServer) -> None:
    name = server.give(alone)
    agent = alone.python(f"print('first')\n{WAIT}print('second')")
    until(lambda: alone.kept == b"first\n")
    until(lambda: server.ask(f"was_heard {name}"))
    (alone.work / "go").touch()
    assert agent.wait() == 0
    assert alone.kept == b"first\nsecond\n"


def test_a_server_that_is_killed_and_started_anew(attempt: Attempt, server: LogServer) -> None:
    def has_kept(wanted: int) -> bool:
        return len(attempt.kept) > wanted

    agent = attempt.python(SLOWLY)
    for wanted in (200_000, 1_000_000, 2_000_000):
        until(partial(has_kept, wanted))
        server.kill()
        server.start()
    assert agent.wait() == 0
    assert attempt.kept == SLOW_OUTPUT


def test_a_server_that_comes_late(attempt: Attempt, server: LogServer) -> None:
    server.kill()
    try:
        agent = attempt.python(f"print('early')\n{WAIT}")
        until(lambda: "the server cannot be reached" in attempt.notes)
    finally:
        server.start()
    until(lambda: attempt.kept == b"early\n")
    (attempt.work / "go").touch()
    assert agent.wait() == 0


def test_a_server_that_lost_what_it_had(attempt: Attempt, server: LogServer) -> None:
    agent = attempt.python(f"print('one')\n{WAIT}print('two')")
    until(lambda: attempt.kept == b"one\n")
    server.kill()
    os.truncate(attempt.log, 0)
    server.start()
    (attempt.work / "go").touch()
    assert agent.wait() == 0
    assert attempt.kept == b"one\ntwo\n"


def test_a_server_that_hangs(attempt: Attempt, server: LogServer) -> None:
    server.process.send_signal(signal.SIGSTOP)
    try:
        agent = attempt.python("for i in range(100): print(i)")
        until((attempt.spool / "exit.json").exists)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert agent.wait() == 0
    assert attempt.kept == attempt.output


def test_a_server_that_stays_away_keeps_nobody(alone: Attempt) -> None:
    assert alone.python("print('kept')").wait() == 0
    assert alone.output == b"kept\n"
    assert "the rest of the output stays in the spool" in alone.notes


def test_a_signal_ends_the_wait_for_a_server(alone: Attempt) -> None:
    agent = alone.python("print('kept')")
    until((alone.spool / "exit.json").exists)
    agent.terminate()
    assert agent.wait() == 0
    assert alone.exit["received_sigterm"] is False
    assert "the rest of the output" not in alone.notes


def test_a_token_that_ends(alone: Attempt, server: LogServer) -> None:
    name = server.give(alone)
    agent = alone.python(WAIT.replace("time.sleep", "print('line'); time.sleep"))
    until(lambda: alone.kept)
    server.ask(f"end {name}")
    until(lambda: "the token has ended" in alone.notes)
    (alone.work / "go").touch()
    assert agent.wait() == 0
    assert alone.exit["exit_code"] == 0
    assert alone.output.startswith(alone.kept)
    assert len(alone.output) > len(alone.kept)


def test_an_agent_that_is_killed_leaves_the_spool_whole(attempt: Attempt) -> None:
    agent = attempt.python(SLOWLY)
    until(lambda: len(attempt.kept) > 500_000)
    agent.kill()
    agent.wait()
    until(lambda: attempt.spool.joinpath("output").stat().st_size == len(SLOW_OUTPUT))
    kept = attempt.kept
    assert kept + attempt.output[len(kept) :] == SLOW_OUTPUT


def test_secrets_do_not_leave_and_offsets_stay(attempt: Attempt) -> None:
    secret = "correct-horse-battery"
    (attempt.private / "secrets.json").write_text(f'{{"environment": {{"API_KEY": "{secret}"}}}}')
    script = (
        "import os, sys, time\n"
        "key = os.environ['API_KEY']\n"
        "for i in range(200): print(i, key)\n"
        "sys.stdout.write('x' * ((1 << 20) - 10) + key + '\\n')\n"
        "for letter in key: sys.stdout.write(letter); sys.stdout.flush(); time.sleep(0.05)\n"
        "sys.stdout.write(key[:9])"
    )
    assert attempt.python(script).wait() == 0
    stars = b"*" * len(secret)
    lines = b"".join(b"%d %s\n" % (i, stars) for i in range(200))
    assert attempt.kept == lines + b"x" * ((1 << 20) - 10) + stars + b"\n" + stars + b"correct-h"


def test_what_the_server_has_is_freed(attempt: Attempt) -> None:
    agent = attempt.python(MUCH + WAIT)
    output = attempt.spool / "output"
    until(lambda: output.exists() and output.stat().st_size == MUCH_BYTES)
    until(lambda: output.stat().st_blocks * 512 <= 2 << 20)
    (attempt.work / "go").touch()
    assert agent.wait() == 0
    assert attempt.kept == LINE * (MUCH_BYTES // len(LINE))


QUOTA_BYTES = 20_000_000


def start_much(attempt: Attempt) -> subprocess.Popen[bytes]:
    """A training whose output is ten times the quota; the disk has little more than the quota of it."""
    agent = attempt.python(MUCH + WAIT, log_quota_bytes=QUOTA_BYTES)
    output = attempt.spool / "output"
    until(lambda: output.exists() and output.stat().st_size == MUCH_BYTES)
    until(lambda: output.stat().st_blocks * 512 < QUOTA_BYTES + (4 << 20))
    return agent


def test_behind_the_quota_the_output_is_counted_and_left_out(alone: Attempt) -> None:
    with log_server(QUOTA_BYTES) as server:
        server.give(alone)
        agent = start_much(alone)
        (alone.work / "go").touch()
        assert agent.wait() == 0
        kept = alone.kept
    assert (alone.exit["exit_code"], alone.exit["spool_bytes"]) == (0, MUCH_BYTES)
    assert "reached its quota" in alone.notes
    assert kept[:QUOTA_BYTES] == LINE * (QUOTA_BYTES // len(LINE))
    assert b"what came behind is left out" in kept[QUOTA_BYTES:]


def test_without_a_server_no_output_fills_the_disk(alone: Attempt) -> None:
    agent = start_much(alone)
    (alone.work / "go").touch()
    until((alone.spool / "exit.json").exists)
    agent.terminate()
    assert agent.wait() == 0
    assert alone.output[:QUOTA_BYTES] == LINE * (QUOTA_BYTES // len(LINE))
