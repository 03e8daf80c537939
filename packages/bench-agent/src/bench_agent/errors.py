"""What the agent raises on purpose, beside the errors of bench-auth and bench-data.

BenchError
  +-- AgentError
        +-- TransferError        bytes do not arrive as they are
        +-- DatasetExistsError   there is another dataset in the folder
        +-- DiskFullError        this machine's disk is full
        +-- NoLoginError         nobody has logged in on this machine
        +-- CacheError           the cache folder cannot be used, or is too small
        +-- AttemptFileError     what an attempt was given cannot be used
        +-- TrackFolderError     a folder of a tracked run cannot be used
"""

from bench_core import BenchError


class AgentError(BenchError):
    """The agent cannot do what was asked."""


class TransferError(AgentError):
    """Bytes do not arrive as they are."""


class DatasetExistsError(AgentError):
    """There is another dataset in the folder."""


class DiskFullError(AgentError):
    """This machine's disk is full."""


class NoLoginError(AgentError):
    """Nobody has logged in on this machine."""


class CacheError(AgentError):
    """The cache folder cannot be used, or is too small."""


class AttemptFileError(AgentError):
    """What an attempt was given, attempt.json or its secrets, cannot be used."""


class TrackFolderError(AgentError):
    """A folder of a tracked run cannot be used."""
