"""How a training ends, and what exit.json says about it."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from attempt_tools import Attempt, is_alive, until


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path / "attempt")


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_codes(attempt: Attempt, code: int) -> None:
    script = f"import sys; print('out'); print('err', file=sys.stderr); sys.exit({code})"
    ended = attempt.run(script, environment={"BENCH_OUTPUT": str(attempt.folder)})
    assert (ended["exit_code"], ended["signal"], ended["error"]) == (code, None, None)
    assert (ended["received_sigterm"], ended["oom_kills"], ended["spool_bytes"]) == (False, 0, 8)
    assert ended["start_time"] < ended["end_time"]
    assert sorted(ended["free_bytes"]) == ["output", "spool", "work"]
    assert min(ended["free_bytes"].values()) > 0
    assert attempt.output == b"out\nerr\n"
    assert sorted(os.listdir(attempt.spool)) == ["agent.log", "exit.json", "output"]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_signal_of_its_own(attempt: Attempt, number: int) -> None:
    ended = attempt.run(f"import os; os.kill(os.getpid(), {number})")
    assert (ended["exit_code"], ended["signal"], ended["received_sigterm"]) == (None, number, False)


WAITS = "import signal, time; print('ready'); time.sleep(600)"
ANSWERS = (
    "import signal, sys, time\n"
    "def stop(*_): print('saved'); sys.exit(7)\n"
    "signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop); print('ready'); time.sleep(600)"
)
REFUSES = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(600)"


def has_said(attempt: Attempt, word: bytes) -> bool:
    return (attempt.spool / "output").exists() and word in attempt.output


def stop(attempt: Attempt, script: str, number: int, grace_seconds: float = 60) -> dict[str, object]:
    (attempt.private / "token").unlink()
    agent = attempt.python(script, grace_seconds=grace_seconds)
    until(partial(has_said, attempt, b"ready"))
    agent.send_signal(number)
    assert agent.wait() == 0
    return attempt.exit


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_is_handled(attempt: Attempt, number: int) -> None:
    ended = stop(attempt, ANSWERS, number)
    assert (ended["exit_code"], ended["signal"], ended["received_sigterm"]) == (7, None, True)
    assert attempt.output == b"ready\nsaved\n"


def test_a_stop_that_is_not_handled(attempt: Attempt) -> None:
    ended = stop(attempt, WAITS, signal.SIGTERM)
    assert (ended["exit_code"], ended["signal"], ended["received_sigterm"]) == (None, signal.SIGTERM, True)


def test_a_stop_that_is_refused(attempt: Attempt) -> None:
    ended = stop(attempt, REFUSES, signal.SIGTERM, grace_seconds=0.3)
    assert (ended["exit_code"], ended["signal"], ended["received_sigterm"]) == (None, signal.SIGKILL, True)


def test_a_second_stop_does_not_disturb_the_first(attempt: Attempt) -> None:
    (attempt.private / "token").unlink()
    saving = ANSWERS.replace("print('saved')", "print('saving'); time.sleep(0.5); print('saved')")
    agent = attempt.python(saving)
    for word in (b"ready", b"saving"):
        until(partial(has_said, attempt, word))
        agent.terminate()
    assert agent.wait() == 0
    assert attempt.exit["exit_code"] == 7
    assert attempt.output == b"ready\nsaving\nsaved\n"


def test_a_stop_reaches_the_whole_group(attempt: Attempt) -> None:
    (attempt.work / "inner.py").write_text(ANSWERS)
    ended = stop(attempt, "import os, sys; os.system(f'{sys.executable} inner.py')", signal.SIGTERM)
    assert attempt.output == b"ready\nsaved\n" or ended["signal"] == signal.SIGTERM


def test_a_grandchild_that_keeps_the_output_open_ends_with_the_training(attempt: Attempt) -> None:
    ended = attempt.run("import subprocess; print(subprocess.Popen(['sleep', '600']).pid)")
    assert ended["exit_code"] == 0
    assert not is_alive(int(attempt.output))


def test_a_daemon_ends_with_the_training(attempt: Attempt) -> None:
    ended = attempt.run(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        print(os.getpid()); time.sleep(600)\n"
        "    os._exit(0)\n"
        "while os.path.getsize('../spool/output') == 0: time.sleep(0.01)\n"
    )
    assert ended["exit_code"] == 0
    assert not is_alive(int(attempt.output))


def test_orphans_are_reaped_while_the_training_runs(attempt: Attempt) -> None:
    # `sh` leaves `sleep 0`, whose parent is then the agent; the training sees it go.
    ended = attempt.run(
        "import os, subprocess, time\n"
        "pid = int(subprocess.check_output(['sh', '-c', 'sleep 0.1 >/dev/null & echo $!']))\n"
        "while os.path.exists(f'/proc/{pid}'): time.sleep(0.01)\n"
        "print('gone')"
    )
    assert (ended["exit_code"], attempt.output) == (0, b"gone\n")


def test_a_command_that_is_missing(attempt: Attempt) -> None:
    (attempt.private / "token").unlink()
    assert attempt.start("no-such-program", "x").wait() == 0
    ended = attempt.exit
    assert (ended["exit_code"], ended["signal"], ended["spool_bytes"]) == (None, None, 0)
    assert ended["error"] == "[Errno 2] No such file or directory: 'no-such-program'"


def test_a_program_that_may_not_be_executed(attempt: Attempt) -> None:
    (attempt.private / "token").unlink()
    program = attempt.work / "train.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o644)
    assert attempt.start(str(program)).wait() == 0
    assert attempt.exit["error"] == f"[Errno 13] Permission denied: '{program}'"


def test_a_working_directory_that_is_missing(attempt: Attempt) -> None:
    gone = attempt.folder / "gone"
    assert attempt.run("", work=str(gone))["error"] == f"[Errno 2] No such file or directory: '{gone}'"


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", "cannot be read"),
        ('{"version": 2}', "is not of version 1"),
        ('{"version": 1}', "has no run_id"),
    ],
)
def test_an_attempt_file_that_will_not_do(attempt: Attempt, document: str, text: str) -> None:
    path = attempt.folder / "attempt.json"
    path.write_text(document)
    found = subprocess.run(
        [sys.executable, "-I", "-m", "bench_agent", "run", path], capture_output=True, text=True
    )
    assert found.returncode == 70
    assert text in found.stderr
    assert text in attempt.notes
    assert os.listdir(attempt.spool) == ["agent.log"]


def test_an_attempt_without_a_command(attempt: Attempt) -> None:
    assert attempt.start().wait() == 70
    assert "command is []" in attempt.notes


def test_nothing_slow_is_imported_before_the_training_starts() -> None:
    script = (
        "import sys, bench_agent.run.entry; print({'grpc', 'google', 'numpy', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_variables_and_secrets(attempt: Attempt) -> None:
    (attempt.private / "files").mkdir()
    (attempt.private / "files" / "KEY").write_bytes(b"\xff\x00 key")
    (attempt.private / "secrets.json").write_text(
        '{"environment": {"API": "s3cret", "BOTH": "secret"}, "files": ["KEY"]}'
    )
    script = (
        "import os; e = os.environ; key = open(e['KEY'], 'rb').read()\n"
        "print(e['API'], e['BOTH'], e['OWN'], e['PYTHONUNBUFFERED'], key, os.getcwd())"
    )
    attempt.run(script, environment={"OWN": "ä", "BOTH": "open", "PYTHONIOENCODING": "utf-8"})
    assert attempt.output.decode() == f"s3cret secret ä 1 b'\\xff\\x00 key' {attempt.work}\n"


def test_a_full_disk_of_the_spool_still_says_how_it_ended(attempt: Attempt) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "bench-agent-test", str(attempt.spool)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        ended = attempt.run("while True: print('x' * 1000)")
    finally:
        subprocess.run(["umount", "-l", str(attempt.spool)], check=True)
    assert ended["exit_code"] == 1
    assert ended["free_bytes"]["spool"] < 8192
    assert ended["spool_bytes"] > 900_000
