"""What bench-deploy raises on purpose, beside the errors of bench-core and bench-auth.

BenchError
  +-- DeployError
        +-- ScaffoldError     a project's first files cannot be written
"""

from bench_core import BenchError


class DeployError(BenchError):
    """The project cannot be brought to the server."""


class ScaffoldError(DeployError):
    """A project's first files cannot be written."""
