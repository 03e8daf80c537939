"""What a training tries, and does not get: from inside of runs, on a real server and a real Docker daemon."""

import importlib
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_protos
import grpc
import psutil
import pytest
from bench_protos.runs.v1 import runs_pb2 as pb
from matrix_tools import own_images, until
from runner_tools import Runs, running

pytestmark = pytest.mark.needs("dockerd", "root")

SMALL: dict[str, Any] = {"cpu_millis": 500, "memory_bytes": 256 << 20}
AGENT_PYTHON = "/opt/bench/bin/python"
"""That of the agent: it has gRPC, and a training may start it."""

# Tries are functions; what each returned, or the name of its error, is the answer.
REPORT = """
import ctypes, errno, json, os, pathlib, socket, sys
given = json.loads(os.environ.get("GIVEN", "{}"))
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def write(path):
    with open(path, "w") as file:
        file.write("x")

def connect(place):
    host, _, port = place.rpartition(":")
    socket.create_connection((host, int(port)), 3).close()

def answer(attempt, *arguments):
    try:
        return attempt(*arguments)
    except TimeoutError:
        return "TIMEOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))

def report(**answers):
    print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def volumes_before() -> set[str]:
    return _volumes()


@pytest.fixture(scope="module")
def runs(volumes_before: set[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("server")
    with own_images(folder / "data"), running(folder, "docker") as found:
        yield found


@pytest.fixture(autouse=True)
def the_server_stays_well(runs: Runs) -> Iterator[None]:
    before = runs.server.rpc_pid()
    yield
    assert runs.server.rpc_pid() == before
    run = runs.submit("print('well')", **SMALL)
    assert runs.wait(run).reason == "succeeded"
    assert runs.log(run) == b"well\n"


def answers(runs: Runs, script: str, *, python: str = "python", **given: Any) -> dict[str, Any]:
    run = runs.submit(
        REPORT + script,
        command=[python, "train.py"],
        environment={"GIVEN": json.dumps(given)},
        **SMALL,
    )
    attempt = runs.wait(run)
    assert attempt.reason == "succeeded", (attempt, runs.log(run))
    found: dict[str, Any] = json.loads(runs.log(run))
    return found


def test_it_gains_no_capability(runs: Runs) -> None:
    script = """
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
report(
    sets=[status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    root=os.getuid() == 0,
    tries=[
        answer(call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
        answer(call, "mount", b"none", b"/", None, 32 | 4096, None),
        answer(call, "unshare", 0x10000000),
        answer(os.setuid, 0),
        answer(os.chroot, "/tmp"),
        answer(os.mknod, "/tmp/device", 0o60666, os.makedev(8, 0)),
        answer(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    ],
)
"""
    found = answers(runs, script)
    assert found["sets"] == ["0000000000000000"] * 5
    assert not found["root"]
    assert set(found["tries"]) <= {"EPERM", "EACCES"}


def test_it_writes_only_where_it_may(runs: Runs) -> None:
    script = """
report(
    allowed=[answer(write, path + "/new") for path in given["allowed"] + [os.environ["HOME"]]],
    refused={path: answer(write, path) for path in given["refused"]},
)
"""
    allowed = ["/bench/work", "/bench/output", "/bench/cache", "/tmp"]
    folders = ["", "/etc", "/usr/bin", "/opt/bench/bin", "/run", "/var/tmp", "/bench", "/bench/datasets"]
    folders += ["/bench/private", "/bench/socket", "/sys", "/sys/fs/cgroup", str(runs.server.data), "/home"]
    files = ["/bench/attempt.json", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]
    refused = [*(f"{folder}/new" for folder in folders), *files]
    found = answers(runs, script, allowed=allowed, refused=refused)
    assert found["allowed"] == [None] * 5
    assert {
        path: said
        for path, said in found["refused"].items()
        if said not in ("EROFS", "EACCES", "EPERM", "ENOENT")
    } == {}
    assert not (runs.server.data / "new").exists()


def test_it_sees_nothing_of_the_server_or_of_other_runs(runs: Runs) -> None:
    runs.set_secret("API_KEY", b"correct-horse")
    other = runs.submit("import time; print('up', flush=True); time.sleep(600)", **SMALL)
    runs.wait_for_log(other, b"up\n")
    [private] = Path("/dev/shm").glob(f"bench-*/{other}-1")
    hidden = ["/var/run/docker.sock", "/run/docker.sock", str(runs.server.data), str(runs.folder(other))]
    hidden += [str(private), str(runs.server.data / "blobs"), str(runs.server.data / "bench.sqlite3")]
    stub_project = runs.server.create_project()
    elsewhere = Runs(runs.server, stub_project)
    digest = elsewhere.upload(b"weights of another project")
    script = """
def found(digest):
    for root in ("/bench", "/tmp", "/dev/shm", "/proc/self/root/bench"):
        for folder, _, names in os.walk(root):
            for name in names:
                if digest in name:
                    return folder
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
report(
    hidden=[path for path in given["hidden"] if os.path.exists(path)],
    blob=found(given["digest"]),
    private=sorted(os.listdir("/bench/private")),
    socket=os.listdir("/bench/socket"),
    commands=[open(f"/proc/{pid}/cmdline").read() for pid in pids],
    run=os.environ["BENCH_RUN"],
)
"""
    found = answers(runs, script, hidden=hidden, digest=digest)
    assert (found["hidden"], found["blob"]) == ([], None)
    assert found["private"] == ["files", "secrets.json", "token"]
    assert found["socket"] == ["attempts.sock"]
    assert not any("bench_server" in command for command in found["commands"])
    assert found["run"] != other
    runs.stop(other)
    runs.wait(other)


def test_it_reaches_no_port_of_the_host_no_other_run_and_no_metadata(runs: Runs) -> None:
    listening = "import socket, time\ns = socket.create_server(('', 5000))\n"
    listening += "print(flush=True)\ntime.sleep(600)"
    other = runs.submit(listening, **SMALL)
    runs.wait_for_log(other, b"\n")
    shown = subprocess.run(
        ["docker", "inspect", f"bench-{other}-1", "--format={{.NetworkSettings.Networks.bench.IPAddress}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with socket.create_server(("", 0)) as everywhere:
        ports = [runs.server.port, runs.server.port + 1, everywhere.getsockname()[1]]
        hosts = [*_host_addresses(), "127.0.0.1"]
        places = [f"{host}:{port}" for host in hosts for port in ports]
        places += [f"{shown}:5000", "169.254.169.254:80"]
        script = "report(**{place: answer(connect, place) for place in given['places']})"
        found = answers(runs, script, places=places)
    refused = ("ECONNREFUSED", "TIMEOUT", "EHOSTUNREACH", "ENETUNREACH")
    assert {place: said for place, said in found.items() if said not in refused} == {}
    rules = subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout
    assert "-A DOCKER-USER -d 169.254.0.0/16 -i bench0 -j REJECT" in rules
    runs.stop(other)
    runs.wait(other)


def _host_addresses() -> list[str]:
    found = [address for of_card in psutil.net_if_addrs().values() for address in of_card]
    addresses = [one.address for one in found if one.family == socket.AF_INET]
    return [address for address in addresses if not address.startswith("127.")]


CALLS = """
import grpc
token = pathlib.Path("/bench/private/token").read_text()
def said(channel, method, token):
    call = channel.unary_unary(method)
    try:
        call(b"", metadata=[("authorization", f"Bearer {token}")], timeout=60)
        return "OK"
    except grpc.RpcError as error:
        return error.code().name
channel = grpc.insecure_channel("unix:/bench/socket/attempts.sock")
"""


def test_its_token_opens_no_other_call(runs: Runs) -> None:
    own = "/bench.runs.v1.AttemptService/"
    methods = [method for method in _methods() if not method.startswith(own)]
    assert len(methods) > 30
    script = """
report(
    own=said(channel, given["own"], token),
    none=said(channel, given["own"], "bench_r_nonsense"),
    others={method: said(channel, method, token) for method in given["methods"]},
)
"""
    found = answers(runs, CALLS + script, python=AGENT_PYTHON, own=f"{own}Heartbeat", methods=methods)
    assert (found["own"], found["none"]) == ("OK", "UNAUTHENTICATED")
    assert {method: said for method, said in found["others"].items() if said != "UNIMPLEMENTED"} == {}


def _methods() -> list[str]:
    root = Path(next(iter(bench_protos.__path__)))
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*_pb2.py")]
    modules = [importlib.import_module(name) for name in names]
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]


def test_the_token_of_an_attempt_is_dead_when_the_next_one_starts(runs: Runs) -> None:
    script = """
kept = pathlib.Path("/bench/output/tokens")
if not kept.exists():
    kept.write_text(token)
    raise SystemExit(1)
report(old=said(channel, given["own"], kept.read_text()), new=said(channel, given["own"], token))
"""
    own = {"own": "/bench.runs.v1.AttemptService/Heartbeat"}
    run = runs.submit(
        REPORT + CALLS + script,
        command=[AGENT_PYTHON, "train.py"],
        environment={"GIVEN": json.dumps(own)},
        **SMALL,
    )
    assert runs.wait(run).reason == "failed_exit"
    token = runs.artifacts(run)["output/tokens"].decode()
    channel = grpc.insecure_channel(f"127.0.0.1:{runs.server.port}")
    call: Any = channel.unary_unary("/bench.runs.v1.RunService/ListRuns")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"", metadata=[("authorization", f"Bearer {token}")], timeout=60)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    channel.close()
    runs.resume(run)
    assert runs.wait(run, pb.RUN_STATE_SUCCEEDED).attempt_number == 2
    assert json.loads(runs.log(run)) == {"old": "UNAUTHENTICATED", "new": "OK"}


def test_it_forks_without_end(runs: Runs) -> None:
    bomb = "import os\nprint('up', flush=True)\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
    run = runs.submit(bomb, limit_seconds=3, grace_seconds=1, **SMALL)
    attempt = runs.wait(run)
    assert attempt.reason in ("max_hours", "out_of_memory", "killed", "failed_signal"), attempt
    assert runs.log(run).startswith(b"up\n")


def test_it_fills_memory(runs: Runs) -> None:
    filling = "print('up', flush=True)\nkept = []\nwhile True: kept.append(b'x' * (1 << 24))\n"
    run = runs.submit(filling, **SMALL)
    attempt = runs.wait(run)
    assert (attempt.state, attempt.reason) == (pb.RUN_STATE_FAILED, "out_of_memory")
    assert attempt.message == "it wanted more memory than it may use"
    assert runs.log(run) == b"up\n"


def test_nothing_is_left(runs: Runs, volumes_before: set[str]) -> None:
    until(lambda: _docker("ps", "-aq", f"--filter=label=bench.server={_server_id(runs)}") == "")
    assert list(Path("/dev/shm").glob(f"bench-{_server_id(runs)}/*")) == []
    assert list((runs.server.data / "images" / "scratch").glob("*")) == []
    networks = _docker("network", "ls", "--format={{.Name}}", "--filter=name=bench").split()
    assert networks == ["bench"]
    assert _volumes() - volumes_before <= {"bench-wheels"}


def _volumes() -> set[str]:
    return set(_docker("volume", "ls", "--format={{.Name}}").split())


def _server_id(runs: Runs) -> str:
    found: str = json.loads((runs.server.data / "server.json").read_text())["server_id"]
    return found


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()
