"""What docker-py is told about a container."""

from dataclasses import replace

from bench_deploy.engine import ContainerSpec, Limits, Mount
from bench_deploy.engine.docker_profile import create_arguments

SPEC = ContainerSpec(
    name="bench-1-1",
    image="sha256:1",
    command=["python", "TrainScript.py"],
    labels={"bench.run": "1"},
    environment={"A": "1"},
    mounts=[Mount(source="/srv/work", target="/bench/work", writable=True), Mount(source="/a", target="/b")],
    work="/bench/work",
    user=(1000, 1001),
    limits=Limits(cpu_millis=1500, memory_bytes=1 << 30, process_count=99, shared_memory_bytes=1 << 20),
)


def test_a_profile() -> None:
    tmpfs = f"rw,exec,nosuid,nodev,size={1 << 29}"
    assert create_arguments(SPEC) == {
        "name": "bench-1-1",
        "image": "sha256:1",
        "command": ["python", "TrainScript.py"],
        "labels": {"bench.run": "1"},
        "environment": {
            "HOME": "/home/bench",
            "USER": "bench",
            "LOGNAME": "bench",
            "NVIDIA_VISIBLE_DEVICES": "void",
            "A": "1",
        },
        "working_dir": "/bench/work",
        "user": "1000:1001",
        "mounts": [
            {"Target": "/bench/work", "Source": "/srv/work", "Type": "bind", "ReadOnly": False},
            {"Target": "/b", "Source": "/a", "Type": "bind", "ReadOnly": True},
        ],
        "tmpfs": {"/tmp": f"{tmpfs},mode=1777", "/home/bench": f"{tmpfs},mode=0700,uid=1000,gid=1001"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "init": True,
        "network": "bench",
        "ipc_mode": "private",
        "mem_limit": 1 << 30,
        "memswap_limit": 1 << 30,
        "cpu_period": 100_000,
        "cpu_quota": 150_000,
        "pids_limit": 99,
        "shm_size": 1 << 20,
        "oom_score_adj": 500,
        "log_config": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        "device_requests": [],
    }


def test_gpus_are_given_by_uuid() -> None:
    arguments = create_arguments(replace(SPEC, limits=replace(SPEC.limits, gpus=("GPU-1", "GPU-2"))))
    assert arguments["device_requests"] == [
        {
            "Driver": "nvidia",
            "Count": 0,
            "DeviceIDs": ["GPU-1", "GPU-2"],
            "Capabilities": [["gpu"]],
            "Options": {},
        }
    ]
    assert "NVIDIA_VISIBLE_DEVICES" not in arguments["environment"]
