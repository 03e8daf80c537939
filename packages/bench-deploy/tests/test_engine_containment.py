"""What a container tries, and does not get, on a real daemon. Each try is made by a script inside."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_deploy.engine import Container, ContainerSpec, Mount
from engine_rigs import IMAGE, LIMITS, Rig, docker_says

pytestmark = pytest.mark.needs("dockerd")

# Tries are functions; what each returned, or the name of its error, is the answer.
REPORT = """
import ctypes, errno, json, os, signal, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def write(path):
    with open(path, "w") as file:
        file.write("x")

def report(**tries):
    answers = {}
    for name, attempt in tries.items():
        try:
            answers[name] = attempt()
        except OSError as error:
            answers[name] = errno.errorcode.get(error.errno, repr(error))
    with open("answers.new", "w") as file:
        json.dump(answers, file)
    os.rename("answers.new", "answers")
"""


def spec_of(docker: Rig, script: str, suffix: str = "1") -> ContainerSpec:
    return docker.command(["python3", "-c", REPORT + script], suffix)


def run(docker: Rig, spec: ContainerSpec) -> Container:
    docker.engine.submit(spec)
    return docker.ended(spec.name)


def answers(docker: Rig, spec: ContainerSpec) -> dict[str, Any]:
    ended = run(docker, spec)
    assert ended.exit_code == 0
    found: dict[str, Any] = json.loads((docker.work(spec.name) / "answers").read_text())
    return found


USERS = pytest.mark.parametrize("user", [(65532, 65532), (0, 0)], ids=["user", "root"])


@USERS
def test_it_gains_no_capability(docker: Rig, user: tuple[int, int]) -> None:
    script = """
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
write("/tmp/own")
CLONE_NEWUSER = 0x10000000
report(
    sets=lambda: [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    no_new_privileges=lambda: status["NoNewPrivs"],
    seccomp=lambda: status["Seccomp"],
    mount=lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    remount=lambda: call("mount", b"none", b"/", None, 32 | 4096, None),
    chown=lambda: os.chown("/tmp/own", 1, 1),
    raw_socket=lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close(),
    packet_socket=lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    user_namespace=lambda: call("unshare", CLONE_NEWUSER),
    another_user=lambda: os.setuid(1),
    another_group=lambda: os.setgroups([1]),
    device=lambda: os.mknod("/tmp/device", 0o60666, os.makedev(8, 0)),
    host_name=lambda: call("sethostname", b"x", 1),
    nice=lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    root_folder=lambda: os.chroot("/tmp"),
    module=lambda: call("delete_module", b"x", 0),
)
"""
    found = answers(docker, replace(spec_of(docker, script), user=user))
    assert found.pop("sets") == ["0000000000000000"] * 5
    assert found.pop("no_new_privileges") == "1"
    assert found.pop("seccomp") == "2"
    assert {name: answer for name, answer in found.items() if answer not in ("EPERM", "EACCES")} == {}


def test_a_setuid_program_gives_it_nothing(docker: Rig) -> None:
    script = """
ask = [["./setuid", "-c", "import os; print(os.geteuid())"], ["su", "-c", "id -u"]]
def attempt(command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip()
report(own=lambda: attempt(ask[0]), su=lambda: attempt(ask[1]))
"""
    spec = spec_of(docker, script)
    make = "cp /usr/bin/python3 /work/setuid && chmod 4755 /work/setuid"
    docker_run("-v", f"{docker.work(spec.name)}:/work", IMAGE, "sh", "-c", make)
    with_it = docker_run(
        "-v",
        f"{docker.work(spec.name)}:/work",
        "--user=65532",
        IMAGE,
        "/work/setuid",
        "-c",
        "import os; print(os.geteuid())",
    )
    assert with_it == "0", "without the profile it is root"
    assert answers(docker, spec) == {"own": "65532", "su": ""}
    docker_run("-v", f"{docker.work(spec.name)}:/work", IMAGE, "rm", "/work/setuid")


@USERS
def test_it_writes_only_where_it_may(docker: Rig, user: tuple[int, int], tmp_path: Path) -> None:
    script = """
where = ["/x", "/etc/x", "/usr/bin/x", "/bench/x", "/run/x", "/var/tmp/x", "/given/x", "/given/file",
         "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/x", "/sys/fs/cgroup/x"]
may = ["/tmp/x", os.path.expanduser("~/x"), "/bench/work/x", "/dev/shm/x"]
report(**{path: lambda path=path: write(path) for path in where + may})
"""
    given = tmp_path / "given"
    given.mkdir()
    given.chmod(0o777)
    (given / "file").write_text("kept")
    (given / "file").chmod(0o666)
    spec = replace(spec_of(docker, script), user=user)
    spec = replace(spec, mounts=[*spec.mounts, Mount(source=str(given), target="/given")])
    found = answers(docker, spec)
    written = [path for path, answer in found.items() if answer is None]
    assert written == ["/tmp/x", "/home/bench/x", "/bench/work/x", "/dev/shm/x"]
    if user[0] == 0:
        assert {found["/x"], found["/etc/x"], found["/usr/bin/x"], found["/given/file"]} == {"EROFS"}
    assert (given / "file").read_text() == "kept"


def test_programs_run_from_its_temporary_folders(docker: Rig) -> None:
    script = """
def attempt(folder):
    path = os.path.expanduser(folder) + "/program"
    write(path)
    open(path, "w").write("#!/bin/sh\\necho ran\\n")
    os.chmod(path, 0o755)
    return subprocess.run([path], capture_output=True, text=True).stdout.strip()
report(tmp=lambda: attempt("/tmp"), home=lambda: attempt("~"), who=lambda: [os.getuid(), os.getgid()])
"""
    assert answers(docker, spec_of(docker, script)) == {"tmp": "ran", "home": "ran", "who": [65532, 65532]}


def test_it_sees_neither_docker_nor_the_host_nor_another_container(docker: Rig) -> None:
    other = docker.spec("other")
    docker.engine.submit(other)
    docker.started(other.name)
    theirs = docker.work(other.name)
    script = f"""
report(
    sockets=lambda: [path for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd")
                     if os.path.exists(path)],
    folder=lambda: os.path.exists({str(theirs)!r}),
    by_root=lambda: os.path.exists("/proc/1/root" + {str(theirs)!r}),
    processes=lambda: sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[0],
    number=lambda: sum(name.isdigit() for name in os.listdir("/proc")) < 5,
    kernel_log=lambda: open("/dev/kmsg").read(1),
    memory=lambda: open("/dev/mem").read(1),
    disks=lambda: [name for name in os.listdir("/dev") if name.startswith(("sd", "vd", "nvme"))],
)
"""
    found = answers(docker, spec_of(docker, script))
    assert found.pop("kernel_log") in ("ENOENT", "EPERM", "EACCES")
    assert found.pop("memory") in ("ENOENT", "EPERM", "EACCES")
    assert found == {
        "sockets": [],
        "folder": False,
        "by_root": False,
        "processes": 1,
        "number": True,
        "disks": [],
    }


def test_forking_without_end_stops_at_its_limit(docker: Rig) -> None:
    script = """
import time
children = []
try:
    while len(children) < 10_000:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        children.append(child)
except OSError as error:
    failed = errno.errorcode[error.errno]
report(failed=lambda: failed, children=lambda: len(children))
"""
    spec = spec_of(docker, script)
    found = answers(docker, spec)
    assert found["failed"] == "EAGAIN"
    assert 0 < found["children"] < LIMITS.process_count
    assert docker_run(IMAGE, "echo", "well") == "well"


def test_filling_memory_ends_it_and_is_said(docker: Rig) -> None:
    eat = "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (16 << 20)))\n"
    ended = run(docker, spec_of(docker, eat))
    assert (ended.exit_code, ended.out_of_memory) == (137, True)


def test_a_child_that_fills_memory_is_said_too(docker: Rig) -> None:
    script = """
eat = "kept = []\\nwhile True:\\n    kept.append(bytearray(b'x' * (16 << 20)))"
sys.exit(-subprocess.run([sys.executable, "-c", eat]).returncode)
"""
    ended = run(docker, spec_of(docker, script))
    assert (ended.exit_code, ended.out_of_memory) == (9, True)


def test_filling_what_lies_in_memory_is_no_space_left(docker: Rig) -> None:
    script = """
def fill(path):
    try:
        with open(path, "wb") as file:
            while True:
                file.write(bytes(1 << 20))
    finally:
        os.unlink(path)
home = os.path.expanduser("~/x")
report(tmp=lambda: fill("/tmp/x"), home=lambda: fill(home), shared=lambda: fill("/dev/shm/x"))
"""
    found = answers(docker, spec_of(docker, script))
    assert found == {"tmp": "ENOSPC", "home": "ENOSPC", "shared": "ENOSPC"}


def test_nothing_of_it_is_kept_by_docker(docker: Rig, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nVOLUME /kept\n")
    image = docker_says("build", "-q", str(tmp_path))
    try:
        spec = replace(docker.command(["true"]), image=image)
        assert run(docker, spec).exit_code == 0
        [volume] = docker_says("inspect", "--format={{range .Mounts}}{{.Name}} {{end}}", spec.name).split()
        docker.engine.remove(spec.name)
        assert volume not in docker_says("volume", "ls", "-q")
    finally:
        docker_says("image", "rm", image)


def test_output_without_end_is_bounded(docker: Rig) -> None:
    spec = docker.command(["python3", "-c", "for _ in range(300_000): print('0123456789' * 8)"])
    assert run(docker, spec).exit_code == 0
    kept = docker_says("logs", spec.name)
    assert 0 < len(kept) <= 1_100_000


def docker_run(*arguments: str) -> str:
    """What a container says that has no profile."""
    return docker_says("run", "--rm", "--network=none", *arguments)
