"""Containers reach the internet, and neither the host nor each other: on a real daemon."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_deploy.engine import host_guard
from bench_deploy.engine.docker import DockerEngine
from bench_deploy.engine.docker_profile import BRIDGE, NETWORK
from bench_deploy.engine.host_guard import CHAIN, close_host
from engine_rigs import IMAGE, Rig, docker_says

REACH = """
import json, socket, sys
found = {}
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), 5) as reached:
            found[place] = "reached"
    except OSError as error:
        found[place] = type(error).__name__
print(json.dumps(found))
"""
INTERNET = "pypi.org:443"


@pytest.fixture
def listening() -> Iterator[int]:
    """A server of the host, on all its addresses."""
    with socket.create_server(("", 0)) as server:
        thread = threading.Thread(target=accept_all, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def accept_all(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def reach(rig: Rig, *places: str) -> dict[str, str]:
    spec = rig.command(["sh", "-c", 'python3 -c "$0" "$@" > found', REACH, *places], "reach")
    rig.engine.remove(spec.name)
    rig.engine.submit(spec)
    assert rig.ended(spec.name).exit_code == 0
    found: dict[str, str] = json.loads((rig.work(spec.name) / "found").read_text())
    return found


def gateway(network: str) -> str:
    shown = docker_says("network", "inspect", network)
    address: str = json.loads(shown)[0]["IPAM"]["Config"][0]["Gateway"]
    return address


def own_address() -> str:
    """The host's on the way to the internet; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        address: str = probe.getsockname()[0]
        return address


@pytest.mark.needs("dockerd", "root")
def test_the_host_is_closed_and_the_internet_open(docker: Rig, listening: int) -> None:
    assert DockerEngine().close_host() == ""
    places = [f"{address}:{listening}" for address in (gateway(NETWORK), own_address())]
    shown = docker_says("run", "--rm", IMAGE, "python3", "-c", REACH, *places)
    assert json.loads(shown) == dict.fromkeys(places, "reached"), (
        "without the rule a container reaches the host"
    )

    found = reach(docker, *places, INTERNET)
    assert found == {**dict.fromkeys(places, "ConnectionRefusedError"), INTERNET: "reached"}


@pytest.mark.needs("dockerd", "root")
def test_the_rule_is_made_once_and_again_where_it_is_gone(docker: Rig, listening: int) -> None:
    engine = DockerEngine()
    assert [engine.close_host(), engine.close_host()] == ["", ""]
    assert rules("INPUT").count(f"-A INPUT -i {BRIDGE} -j {CHAIN}") == 1
    assert len(rules(CHAIN)) == 3

    subprocess.run(["iptables", "-D", "INPUT", "-i", BRIDGE, "-j", CHAIN], check=True)
    place = f"{gateway(NETWORK)}:{listening}"
    assert reach(docker, place) == {place: "ConnectionRefusedError"}, "every submit makes it"
    engine.close()


def rules(chain: str) -> list[str]:
    shown = subprocess.run(["iptables", "-S", chain], capture_output=True, text=True, check=True).stdout
    return shown.splitlines()


SERVE = """
import os, socket, time
server = socket.create_server(("", 5000))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.connect(("198.51.100.1", 9))
    address = probe.getsockname()[0]
with open("address.new", "w") as file:
    file.write(address)
os.rename("address.new", "address")
open("started", "w").close()
while True:
    server.accept()[0].close()
"""


@pytest.mark.needs("dockerd")
def test_containers_do_not_reach_each_other(docker: Rig) -> None:
    spec = docker.command(["python3", "-c", SERVE], "server")
    docker.engine.submit(spec)
    docker.started(spec.name)
    address = (docker.work(spec.name) / "address").read_text()
    socket.create_connection((address, 5000), 5).close()  # the host does, so it serves
    place = f"{address}:5000"
    assert reach(docker, place) in ({place: "TimeoutError"}, {place: "ConnectionRefusedError"})


def test_where_the_rule_cannot_be_made_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "is on another machine" in close_host("no-such-bridge")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        assert "iptables -I INPUT -i lo " in close_host("lo")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 0)
        patch.setenv("PATH", str(tmp_path))
        assert "iptables is not installed" in close_host("lo")


def test_what_iptables_refuses_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("iptables", "iptables-restore", "ip6tables", "ip6tables-restore"):
        (tmp_path / program).write_text(
            "#!/bin/sh\necho 'Permission denied (you must be root)' >&2\nexit 4\n"
        )
        (tmp_path / program).chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said: Any = host_guard.close_host("lo")
    assert "iptables-restore says: Permission denied (you must be root)" in said
