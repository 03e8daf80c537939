"""From a project's folder to code and data on the server."""

from bench_deploy.errors import DeployError, ScaffoldError
from bench_deploy.scaffold import StartedProject, start_project

__all__ = [
    "DeployError",
    "ScaffoldError",
    "StartedProject",
    "start_project",
]
