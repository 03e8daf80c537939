"""Datasets to the server and back."""

from bench_agent.errors import AgentError, DatasetExistsError, DiskFullError, TransferError
from bench_agent.pull import Pulled, pull
from bench_agent.push import Pushed, push

__all__ = [
    "AgentError",
    "DatasetExistsError",
    "DiskFullError",
    "Pulled",
    "Pushed",
    "TransferError",
    "pull",
    "push",
]
