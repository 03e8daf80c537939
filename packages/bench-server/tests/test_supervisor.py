"""The supervisor with processes of the test's own."""

import os
import signal
import textwrap
import threading
import time
from pathlib import Path

import pytest
from bench_server.supervisor import Child, Supervisor

PATIENCE_SECONDS = 120.0

TALKS = """
from bench_server.child import Lifeline
lifeline = Lifeline()
lifeline.ready()
if lifeline.wait_for_all():
    print("a warning", flush=True)
lifeline.wait()
"""
"""Is ready at once, and has something to say at once."""

IS_SLOW = """
import time
from bench_server.child import Lifeline
lifeline = Lifeline()
time.sleep(0.5)
lifeline.ready()
lifeline.wait()
"""


def child(name: str, script: str) -> Child:
    return Child(name, ["-c", textwrap.dedent(script)])


def test_what_a_process_says_comes_after_that_the_server_is_ready(capfd: pytest.CaptureFixture[str]) -> None:
    said = ""

    def end_when_it_was_said() -> None:
        nonlocal said
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "a warning" not in said and time.monotonic() < deadline:
            said += capfd.readouterr().out
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end_when_it_was_said)
    ending.start()
    Supervisor([child("talks", TALKS), child("slow", IS_SLOW)], print).run(lambda: print("ready", flush=True))
    ending.join()
    assert said == "ready\na warning\n"


def test_a_process_that_is_told_to_end_before_all_are_ready_does_not_begin(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    touches = TALKS.replace("lifeline.ready()", f"open({str(there)!r}, 'w').close(); lifeline.ready()")
    never_ready = IS_SLOW.replace("sleep(0.5)", f"sleep({PATIENCE_SECONDS})")

    def end_when_it_is_there() -> None:
        while not there.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    children = [child("talks", touches), child("slow", never_ready)]
    ending = threading.Thread(target=end_when_it_is_there)
    ending.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench_server.supervisor.READY_SECONDS", 2.0)
        patch.setattr("bench_server.supervisor.KILL_SECONDS", 2.0)
        Supervisor(children, print).run(lambda: print("ready", flush=True))
    ending.join()
    assert capfd.readouterr().out == ""
