"""Engines: what containers run on."""

from bench_deploy.engine.protocol import Container, ContainerSpec, ContainerState, Engine, Limits, Mount

__all__ = ["Container", "ContainerSpec", "ContainerState", "Engine", "Limits", "Mount"]
