"""Checkpoints of runs of elsewhere reach a real server once and whole, whatever is killed meanwhile."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_tools import Server, running_server
from attempt_tools import until
from checkpoint_tools import contents
from crash_tools import unfinished_uploads
from test_sent_checkpoints import Saver, size

KILLS = 6
LARGE = 150_000_000
"""Bytes that are under way for some tenths of a second."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def saver(tmp_path: Path, server: Server) -> Iterator[Saver]:
    with Saver(tmp_path / "run", server, server.create_project()) as made:
        yield made


def test_an_agent_that_is_killed_while_it_sends(saver: Saver, server: Server) -> None:
    made = saver.save(1, {"weights": random.Random(0).randbytes(LARGE), "small": b"x"})
    luck, began = random.Random(1), 0
    for _ in range(KILLS):
        agent = saver.agent()
        until(lambda: bool(unfinished_uploads(server) or (saver.run() and saver.kept())))
        time.sleep(luck.uniform(0, 0.2))
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        began += bool(unfinished_uploads(server))
        assert saver.kept() in ({}, {made.name: contents(made.folder)})
    assert began
    saver.end(state="succeeded")
    assert saver.sync() == (0, "")
    assert saver.has_kept(made)
    assert (saver.stored, unfinished_uploads(server)) == (size(made), [])


def test_a_server_that_is_killed_meanwhile(saver: Saver, server: Server) -> None:
    made = saver.save(1, {"weights": random.Random(2).randbytes(LARGE)})
    agent = saver.agent()
    until(lambda: bool(unfinished_uploads(server)))
    for pause in (0.05, 0.3, 0.7):
        server.kill()
        server.start()
        time.sleep(pause)
    saver.end(state="succeeded")
    assert agent.wait(timeout=120) == 0
    assert saver.has_kept(made)
    assert (saver.stored, unfinished_uploads(server)) == (size(made), [])
    found = server.command("check", "--digests")
    assert (found.returncode, found.stdout) == (0, "No problems.\n"), found
