"""The output reaches the server: all of it, once, whatever happens on the way."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from attempt_tools import Attempt, until


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path / "attempt")


@pytest.mark.parametrize(
    "script",
    [
        "",
        "print('one line')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 5000)",
        "print('Größe 模型 🐕', end='')",
        "import time\nfor i in range(30): print(f'\\r{i} %', end='', flush=True); time.sleep(0.02)",
        "import sys\nfor i in range(20000): print('line', i, file=(sys.stdout, sys.stderr)[i % 2])",
    ],
    ids=["nothing", "line", "binary", "unicode", "progress", "lines"],
)
def test_the_server_has_what_was_written(attempt: Attempt, script: str) -> None:
    with attempt.server():
        agent = attempt.python(script, environment={"PYTHONIOENCODING": "utf-8"})
        assert agent.wait() == 0
    assert attempt.kept == attempt.output
    assert attempt.exit["spool_bytes"] == len(attempt.output)
    beats = attempt.log.with_suffix(".beats").read_text().splitlines()
    assert beats[-1] == f"False {len(attempt.output)}"


def test_output_arrives_while_the_training_runs(attempt: Attempt) -> None:
    wait = (
        "import os, time\nprint('first')\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('second')"
    )
    with attempt.server():
        agent = attempt.python(wait)
        until(lambda: attempt.kept == b"first\n")
        (attempt.work / "go").touch()
        assert agent.wait() == 0
    assert attempt.kept == b"first\nsecond\n"


SLOWLY = "import time\nfor i in range(3000): print(i, 'x' * 1000); time.sleep(0.001)"
SLOW_OUTPUT = b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(3000))


def test_a_server_that_is_killed_and_started_anew(attempt: Attempt) -> None:
    def has_kept(wanted: int) -> bool:
        return len(attempt.kept) > wanted

    with attempt.server() as restart:
        agent = attempt.python(SLOWLY)
        for wanted in (200_000, 1_000_000, 2_000_000):
            until(partial(has_kept, wanted))
            restart()
        assert agent.wait() == 0
    assert attempt.kept == SLOW_OUTPUT


def test_a_server_that_comes_late(attempt: Attempt) -> None:
    agent = attempt.python(
        "import os, time\nprint('early')\nwhile not os.path.exists('go'): time.sleep(0.01)"
    )
    until(lambda: "the server cannot be reached" in attempt.notes)
    with attempt.server():
        until(lambda: attempt.kept == b"early\n")
        (attempt.work / "go").touch()
        assert agent.wait() == 0


def test_a_server_that_lost_what_it_had(attempt: Attempt) -> None:
    script = "import os, time\nprint('one')\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')"
    with attempt.server() as restart:
        agent = attempt.python(script)
        until(lambda: attempt.kept == b"one\n")
        os.truncate(attempt.log, 0)
        restart()
        (attempt.work / "go").touch()
        assert agent.wait() == 0
    assert attempt.kept == b"one\ntwo\n"


def test_a_server_that_stays_away_keeps_nobody(attempt: Attempt) -> None:
    assert attempt.python("print('kept')").wait() == 0
    assert attempt.output == b"kept\n"
    assert "the rest of the output stays in the spool" in attempt.notes


def test_a_signal_ends_the_wait_for_a_server(attempt: Attempt) -> None:
    agent = attempt.python("print('kept')")
    until(lambda: (attempt.spool / "exit.json").exists())
    agent.terminate()
    assert agent.wait() == 0
    assert attempt.exit["received_sigterm"] is False
    assert "the rest of the output" not in attempt.notes


def test_a_token_that_has_ended(attempt: Attempt) -> None:
    with attempt.server(token="bench_r_of-the-next-attempt"):
        assert attempt.python("print('kept')").wait() == 0
    assert attempt.kept == b""
    assert attempt.output == b"kept\n"
    assert "the token has ended: TOKEN_INVALID" in attempt.notes


def test_an_agent_that_is_killed_leaves_the_spool_whole(attempt: Attempt) -> None:
    with attempt.server():
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
    with attempt.server():
        assert attempt.python(script).wait() == 0
    stars = b"*" * len(secret)
    lines = b"".join(b"%d %s\n" % (i, stars) for i in range(200))
    assert attempt.kept == lines + b"x" * ((1 << 20) - 10) + stars + b"\n" + stars + b"correct-h"


ENDLESS = "import os\nblock = b'0123456789abcde\\n' * 4096\nfor _ in range(3200): os.write(1, block)\n"


@pytest.mark.parametrize("is_there", [True, False], ids=["server", "no-server"])
def test_output_without_end_neither_fills_the_disk_nor_stops_the_training(
    attempt: Attempt, is_there: bool
) -> None:
    quota = 20_000_000
    script = ENDLESS + "import time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with attempt.server(quota):
        if not is_there:
            attempt.socket.unlink()
        agent = attempt.python(script, log_quota_bytes=quota)
        output = attempt.spool / "output"
        until(lambda: output.exists() and output.stat().st_size == 3200 << 16)
        until(lambda: output.stat().st_blocks * 512 < quota + (4 << 20))
        until(lambda: len(attempt.kept) == (quota if is_there else 0))
        (attempt.work / "go").touch()
        until(lambda: (attempt.spool / "exit.json").exists())
        if not is_there:
            agent.terminate()
        assert agent.wait() == 0
    assert (attempt.exit["exit_code"], attempt.exit["spool_bytes"]) == (0, 3200 << 16)
    line = b"0123456789abcde\n"
    assert attempt.kept == (line * quota)[: quota if is_there else 0]


def test_what_the_server_has_is_freed(attempt: Attempt) -> None:
    script = ENDLESS + "import time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with attempt.server():
        agent = attempt.python(script)
        output = attempt.spool / "output"
        until(lambda: output.exists() and output.stat().st_size == 3200 << 16)
        until(lambda: output.stat().st_blocks * 512 <= 2 << 20)
        (attempt.work / "go").touch()
        assert agent.wait() == 0
    assert len(attempt.kept) == 3200 << 16
    assert attempt.kept == b"0123456789abcde\n" * (3200 << 12)


def test_the_agent_outlives_a_server_that_hangs(attempt: Attempt) -> None:
    with attempt.server() as restart:
        server = restart()
        agent = attempt.python("for i in range(100): print(i)")
        server.send_signal(signal.SIGSTOP)
        until(lambda: (attempt.spool / "exit.json").exists())
        server.send_signal(signal.SIGCONT)
        assert agent.wait() == 0
    assert attempt.kept == attempt.output
