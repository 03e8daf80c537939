"""What Docker's texts mean: texts as Docker gave them, and errors that this machine's daemon gives now."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from bench_deploy.engine import DockerEngine, Mount
from bench_deploy.engine.docker_errors import docker_error
from bench_deploy.errors import EngineAwayError, EngineError
from engine_rigs import LIMITS, Rig

# text, what the message says after "cannot do it: ", a part of the hint, whether Docker is away
TEXTS = [
    (
        "Error while fetching server API version: ('Connection aborted.', PermissionError(13, "
        "'Permission denied'))",
        "this user may not use Docker",
        "usermod -aG docker",
        True,
    ),
    (
        "permission denied while trying to connect to the Docker daemon socket at "
        'unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": '
        "dial unix /var/run/docker.sock: connect: permission denied",
        "this user may not use Docker",
        "usermod -aG docker",
        True,
    ),
    (
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "no Docker daemon answers",
        "systemctl start docker",
        True,
    ),
    (
        "Error while fetching server API version: HTTPConnectionPool(host='nowhere.invalid', "
        "port=2375): Max retries exceeded with url: /version (Caused by "
        "NameResolutionError(\"HTTPConnection(host='nowhere.invalid', port=2375): Failed to "
        "resolve 'nowhere.invalid' ([Errno -2] Name or service not known)\"))",
        "no Docker daemon answers",
        "DOCKER_HOST",
        True,
    ),
    (
        "client version 1.44 is too new. Maximum supported API version is 1.41",
        "the Docker daemon is too old, or too new, for this version of Bench",
        "20.10 or later",
        False,
    ),
    (
        "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client",
        "the Docker daemon is too old, or too new, for this version of Bench",
        "20.10 or later",
        False,
    ),
    (
        "API versions below 1.24 are no longer supported by this library.",
        "the Docker daemon is too old, or too new, for this version of Bench",
        "20.10 or later",
        False,
    ),
    (
        "mkdir /var/lib/docker/overlay2/6f6e5a-init: no space left on device",
        "Docker's disk is full",
        "bench server gc",
        False,
    ),
    (
        "Error processing tar file(exit status 1): write /usr/lib/libtorch_cpu.so: no space left on device",
        "Docker's disk is full",
        "docker system prune",
        False,
    ),
    (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "Docker's disk is full",
        "docker system df",
        False,
    ),
    (
        'Conflict. The container name "/bench-1" is already in use by container "6214f615b3be". '
        "You have to remove (or rename) that container to be able to reuse that name.",
        'another container is called "bench-1"',
        'docker rm "bench-1"',
        False,
    ),
    (
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to "
        "start container process: error during container init: error running hook #0: error "
        "running hook: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy' "
        "nvidia-container-cli: device error: GPU-1: unknown device: unknown",
        "there is no GPU GPU-1",
        "nvidia-smi -L",
        False,
    ),
    (
        "OCI runtime create failed: unable to retrieve OCI runtime error: nvidia-container-cli: "
        "initialization error: nvml error: driver not loaded: unknown",
        "Docker cannot give GPUs to a container here",
        "nvidia-ctk runtime configure",
        False,
    ),
    (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on '
        "10.0.0.53:53: no such host",
        'the registry "registry-1.docker.io" cannot be reached',
        "BENCH_BASE_IMAGE",
        False,
    ),
    (
        'Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for '
        "connection (Client.Timeout exceeded while awaiting headers)",
        'the registry "registry-1.docker.io" cannot be reached',
        "BENCH_BASE_IMAGE",
        False,
    ),
    (
        "pull access denied for no-such-image, repository does not exist or may require 'docker "
        "login': denied",
        'there is no image "no-such-image"',
        "Check its name",
        False,
    ),
    (
        "manifest for python:3.99 not found: manifest unknown: manifest unknown",
        'there is no image "python:3.99"',
        "Check its name",
        False,
    ),
    (
        "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) "
        "after connection broken by "
        "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: "
        "Failed to establish a new connection: [Errno -3] Temporary failure in name "
        "resolution')': /simple/torch/",
        "the image's build cannot reach a package index",
        "[image]",
        False,
    ),
    (
        "error: Failed to fetch: `https://pypi.org/simple/torch/`\n  Caused by: client error "
        "(Connect)\n  Caused by: dns error: failed to lookup address information: Name or service "
        "not known",
        "the image's build cannot reach a package index",
        "bench.toml",
        False,
    ),
    (
        "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary "
        "failure resolving 'deb.debian.org'",
        "the image's build cannot reach a package index",
        "bench.toml",
        False,
    ),
    (
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to "
        'start container process: error during container init: error mounting "/tmp" to rootfs '
        'at "/etc/passwd": mount /tmp:/etc/passwd (via /proc/self/fd/6), flags: 0x5000: not a '
        "directory: unknown: Are you trying to mount a directory onto a file?",
        'a mount is not possible: "/tmp" to rootfs at "/etc/passwd"',
        "a file on a file",
        False,
    ),
    (
        "failed to create shim task: OCI runtime create failed: runc create failed: unable to "
        'start container process: exec: "no-such-program": executable file not found in $PATH: '
        "unknown",
        'the image cannot run "no-such-program"',
        "Check the command",
        False,
    ),
    (
        "could not find an available, non-overlapping IPv4 address pool among the defaults to "
        "assign to the network",
        "Docker has no addresses left for a network",
        "network prune",
        False,
    ),
    (
        "cannot create network a71b (bench0): conflicts with network 9aad (bench0): networks "
        "have same bridge name",
        "another of Docker's networks has the bridge that Bench's network is to have",
        "docker network rm",
        False,
    ),
    (
        "Failed to program FILTER chain: iptables failed: iptables --wait -I FORWARD -o bench0 "
        "-j DOCKER: iptables: No chain/target/match by that name.\n (exit status 1)",
        "Docker's firewall rules are gone",
        "restart",
        False,
    ),
    (
        "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        "Docker does not answer any more",
        "docker info",
        True,
    ),
    (
        "Response ended prematurely",  # urllib3, of an answer in chunks
        "Docker does not answer any more",
        "docker info",
        True,
    ),
]


@pytest.mark.parametrize(("text", "message", "hint", "away"), TEXTS)
def test_what_texts_mean(text: str, message: str, hint: str, away: bool) -> None:
    error = docker_error(text, "do it")
    assert error.message == f"cannot do it: {message}"
    assert error.hint is not None
    assert hint in error.hint
    assert isinstance(error, EngineAwayError) is away


def test_an_unknown_text_is_said_as_it_is() -> None:
    error = docker_error("something\n  new", "do it")
    assert (error.message, error.hint) == ("cannot do it: something new", None)
    assert type(error) is EngineError


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(EngineAwayError, match="no Docker daemon answers"):
        DockerEngine(f"unix://{tmp_path}/none.sock").inspect("x")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/left.sock")
    with pytest.raises(EngineAwayError, match="no Docker daemon answers"):
        DockerEngine(f"unix://{tmp_path}/left.sock").list("a", "b")
    with pytest.raises(EngineAwayError, match="no Docker daemon answers"):
        DockerEngine("tcp://127.0.0.1:1").wait("x", 1)


@pytest.mark.needs("dockerd")
def test_what_the_daemon_refuses(docker: Rig) -> None:
    spec = docker.spec()
    name = f"container {spec.name}"
    refused = [
        (replace(spec, image="no-such:1"), f'cannot make {name}: there is no image "no-such:1"'),
        (
            replace(spec, mounts=[Mount(source="/no/such", target="/x")]),
            f"cannot make {name}: a mount is not possible: bind source path does not exist: /no/such",
        ),
        (
            replace(spec, mounts=[Mount(source="/tmp", target="x")]),
            "a mount is not possible: invalid mount path: 'x' mount path must be absolute",
        ),
        (
            replace(spec, mounts=[Mount(source="/tmp", target="/x"), Mount(source="/etc", target="/x")]),
            f"cannot make {name}: a mount is not possible: Duplicate mount point: /x",
        ),
        (replace(spec, limits=replace(LIMITS, cpu_millis=10**9)), "more CPUs are asked for than there are"),
        (replace(spec, limits=replace(LIMITS, memory_bytes=1 << 20)), "the memory limit is too low"),
        (replace(spec, limits=replace(LIMITS, gpus=("GPU-1",))), "GPU"),
    ]
    for wrong, message in refused:
        with pytest.raises(EngineError) as error:
            docker.engine.submit(wrong)
        assert message in error.value.message
        assert error.value.hint
        assert not isinstance(error.value, EngineAwayError)
        docker.engine.remove(spec.name)


@pytest.mark.needs("dockerd")
def test_a_name_that_another_container_has(docker: Rig) -> None:
    spec = docker.spec()
    docker.engine.submit(spec)
    with pytest.raises(EngineError, match="another container has that name"):
        docker.engine.submit(replace(spec, labels={"bench-test": "another"}))
