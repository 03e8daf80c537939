"""Engines: what containers run on."""

from bench_deploy.engine.docker import DockerEngine
from bench_deploy.engine.fake import FakeEngine
from bench_deploy.engine.process import ProcessEngine
from bench_deploy.engine.protocol import Container, ContainerSpec, ContainerState, Engine, Limits, Mount

__all__ = [
    "Container",
    "ContainerSpec",
    "ContainerState",
    "DockerEngine",
    "Engine",
    "FakeEngine",
    "Limits",
    "Mount",
    "ProcessEngine",
]
