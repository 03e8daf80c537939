"""Does the network for a training: `python -m bench_agent`.

Nothing beyond the errors is imported here: a run's first process must not wait for gRPC. Push and pull are
in the modules of their names.
"""

from bench_agent.errors import AgentError, DatasetExistsError, DiskFullError, TransferError

__all__ = ["AgentError", "DatasetExistsError", "DiskFullError", "TransferError"]
