"""A real Docker daemon, left as it was found."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_deploy.engine.docker_profile import BRIDGE, NETWORK
from bench_deploy.engine.host_guard import CHAIN
from engine_rigs import LABEL, Rig, docker_says, rig


@pytest.fixture(scope="session")
def dockerd() -> Iterator[None]:
    """The daemon of this machine. Of what the tests make on it nothing stays."""
    before = networks()
    yield
    if NETWORK not in before and NETWORK in networks():
        docker_says("network", "rm", NETWORK)
        if os.geteuid() == 0:
            open_the_host()


@pytest.fixture
def docker(dockerd: None, tmp_path: Path) -> Iterator[Rig]:
    with rig("docker", tmp_path) as made:
        yield made
    assert docker_says("ps", "-aq", "--filter", f"label={LABEL}={made.session}") == ""


def networks() -> list[str]:
    return docker_says("network", "ls", "--format={{.Name}}").split()


def open_the_host() -> None:
    for program in ("iptables", "ip6tables"):
        for rule in (["-D", "INPUT", "-i", BRIDGE, "-j", CHAIN], ["-F", CHAIN], ["-X", CHAIN]):
            with contextlib.suppress(FileNotFoundError):
                subprocess.run([program, *rule], capture_output=True)
