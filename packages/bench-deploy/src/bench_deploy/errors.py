"""What bench-deploy raises on purpose, beside the errors of bench-core and bench-auth.

BenchError
  +-- DeployError
        +-- ScaffoldError     a project's first files cannot be written
        +-- BundleError       the code cannot be packed, or what was packed is no bundle
        +-- MigrateError      a step of a migration failed
              +-- UserCodeError     in the user's own code; has their traceback
        +-- NotMigratedError  the server does not have the datasets of a run
        +-- NotSentError      somebody said no to what would have been sent
        +-- ArtifactError     a file that a run left cannot be kept here
        +-- CheckpointError   a checkpoint is not whole, or cannot be kept here
        +-- EngineError       the engine will not do what it was asked
              +-- EngineAwayError   it cannot be reached: nothing is known of its containers
        +-- ImageError        an image cannot be made
"""

from bench_core import BenchError


class DeployError(BenchError):
    """The project cannot be brought to the server."""


class ScaffoldError(DeployError):
    """A project's first files cannot be written."""


class BundleError(DeployError):
    """The code cannot be packed, or what was packed is no bundle."""


class MigrateError(DeployError):
    """A step of a migration failed."""


class UserCodeError(MigrateError):
    """The user's own code failed; the message has their traceback, shortened to their files."""


class NotMigratedError(DeployError):
    """The server does not have the datasets that a run is to be trained with."""


class NotSentError(DeployError):
    """Somebody said no to what would have been sent, or nobody was there to say yes."""


class ArtifactError(DeployError):
    """A file that a run left cannot be kept here."""


class CheckpointError(DeployError):
    """A checkpoint of a run is not there, is not whole, or cannot be kept here."""


class EngineError(DeployError):
    """The engine will not do what it was asked."""


class EngineAwayError(EngineError):
    """The engine cannot be reached: nothing is known of its containers."""


class ImageError(DeployError):
    """An image cannot be made."""
