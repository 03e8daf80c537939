"""How a container is made: a spec in, the arguments of docker-py's `create` out; Docker is not asked.

A container has what its spec gives it, and nothing more: no capability, no new privileges by setuid programs,
a root file system that it cannot change, no Docker socket, and no way to other containers.
"""

from typing import TypedDict

from docker.types import DeviceRequest, LogConfig
from docker.types import Mount as DockerMount

from bench_deploy.engine.protocol import ContainerSpec, Limits

NETWORK = "bench"
"""The network of all containers: one, because a network for each would exhaust Docker's pools at 29."""

BRIDGE = "bench0"
"""Its interface on the host: a fixed name, for the host's firewall to know it by."""

NETWORK_OPTIONS = {
    "com.docker.network.bridge.name": BRIDGE,
    "com.docker.network.bridge.enable_icc": "false",  # containers do not reach each other
}

HOME = "/home/bench"
"""$HOME in every container; gone with it."""

CPU_PERIOD = 100_000
"""Of the quota of CPU time, in microseconds: Docker's own choice."""

OOM_SCORE = 500
"""Where the machine itself runs out of memory, a container goes before the server does; of at most 1,000."""


class CreateArguments(TypedDict):
    """What docker-py's `containers.create` takes."""

    name: str
    image: str
    command: list[str]
    labels: dict[str, str]
    environment: dict[str, str]
    working_dir: str
    user: str
    mounts: list[DockerMount]
    tmpfs: dict[str, str]
    cap_drop: list[str]
    security_opt: list[str]
    read_only: bool
    init: bool
    network: str
    ipc_mode: str
    mem_limit: int
    memswap_limit: int
    cpu_period: int
    cpu_quota: int
    pids_limit: int
    shm_size: int
    oom_score_adj: int
    log_config: LogConfig
    device_requests: list[DeviceRequest]


def create_arguments(spec: ContainerSpec) -> CreateArguments:
    """What docker-py is told, to make a container.

    Args:
        spec: The container.

    Returns:
        The arguments of `client.containers.create`.
    """
    limits = spec.limits
    return {
        "name": spec.name,
        "image": spec.image,
        "command": list(spec.command),
        "labels": dict(spec.labels),
        "environment": _environment(spec),
        "working_dir": spec.work,
        "user": "{}:{}".format(*spec.user),
        "mounts": [
            DockerMount(mount.target, mount.source, type="bind", read_only=not mount.writable)
            for mount in spec.mounts
        ],
        "tmpfs": _tmpfs(spec),
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "init": True,  # reaps orphans, and makes SIGTERM end a command that has no handler for it
        "network": NETWORK,
        "ipc_mode": "private",
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,  # memory and swap together: so there is no swap
        "cpu_period": CPU_PERIOD,  # not nano_cpus, which Docker does not let anybody change later
        "cpu_quota": limits.cpu_millis * CPU_PERIOD // 1000,
        "pids_limit": limits.process_count,
        "shm_size": limits.shared_memory_bytes,
        "oom_score_adj": OOM_SCORE,
        # To find out why an entry point did not start; logs go by the spool.
        "log_config": LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m", "max-file": "1"}),
        "device_requests": _device_requests(limits),
    }


def _environment(spec: ContainerSpec) -> dict[str, str]:
    environment = {"HOME": HOME, "USER": "bench", "LOGNAME": "bench"}
    if not spec.limits.gpus:
        # Images of CUDA ask for all GPUs, and get them where NVIDIA's runtime is Docker's default.
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    return {**environment, **spec.environment}


def _tmpfs(spec: ContainerSpec) -> dict[str, str]:
    # Half of the memory each, so that a full /tmp says "no space left" before the kernel kills for memory.
    common = f"rw,exec,nosuid,nodev,size={spec.limits.memory_bytes // 2}"
    user, group = spec.user
    return {"/tmp": f"{common},mode=1777", HOME: f"{common},mode=0700,uid={user},gid={group}"}


def _device_requests(limits: Limits) -> list[DeviceRequest]:
    if not limits.gpus:
        return []
    return [DeviceRequest(driver="nvidia", device_ids=list(limits.gpus), capabilities=[["gpu"]])]
