"""Every exception that bench-data raises on purpose.

BenchError (bench_core)
  +-- DataError
        +-- FormatError            a file that is not what FORMAT.md says
        |     +-- CorruptChunkError    bytes that changed after they were written
        |     +-- NewerFormatError     written by a newer release
        +-- DatasetNotFoundError   no dataset of that name
        +-- OptionsError           an option that cannot be
        +-- LabelError             a label that cannot be stored, or changed its structure
        +-- SourceError            a sample that could not be read from its source
        +-- WriteError             the write stopped; what was written is kept and resumed
        |     +-- DiskFullError
        |     +-- DatasetLockedError   somebody else is writing this dataset
        |     +-- WorkerLostError      a worker process was killed
        +-- LoaderError            a loader or sampler that cannot do what was asked
        +-- CloudError             a dataset cannot be sent to a server, or fetched
        |     +-- NoCloudError     there is no agent or no login on this machine
        +-- LoadingTestError       the user's ChunkDataset failed on a sample
"""

import errno

from bench_core import BenchError


class DataError(BenchError):
    """The root of bench-data's exceptions."""


class FormatError(DataError):
    """A file is not what FORMAT.md says."""


class CorruptChunkError(FormatError):
    """Bytes of a chunk are not those that were written; names chunk, member and offset."""


class NewerFormatError(FormatError):
    """The file was written by a newer release."""


class DatasetNotFoundError(DataError):
    """There is no dataset of that name."""


class CloudError(DataError):
    """A dataset cannot be sent to a server, or fetched from one."""


class NoCloudError(CloudError):
    """There is no bench-agent, or no login, on this machine."""


class OptionsError(DataError):
    """An option or argument has a value that cannot be."""


class LabelError(DataError):
    """A label cannot be stored, or its structure differs from that of the other samples."""


class SourceError(DataError):
    """A sample could not be read from its source."""


class WriteError(DataError):
    """The write stopped. Finished blocks are kept; the same call goes on from there."""


class DiskFullError(WriteError):
    """No space is left where the dataset is written."""


class DatasetLockedError(WriteError):
    """Another process is writing this dataset."""


class WorkerLostError(WriteError):
    """A worker process was killed."""


class LoaderError(DataError):
    """A loader or sampler cannot do what was asked."""


class LoadingTestError(DataError):
    """The user's ChunkDataset failed on a sample."""


def write_failed(error: OSError) -> WriteError:
    """The error for a file that could not be written."""
    name = error.filename2 or error.filename  # of a rename, the new name
    where = f" {name}" if name else ""
    kept = "What was written is kept; the same call goes on from there."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(
            f"no space is left to write{where} ({error.strerror})", hint=f"Free some. {kept}"
        )
    return WriteError(f"cannot write{where}: {error.strerror or error}", hint=kept)
