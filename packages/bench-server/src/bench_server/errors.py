"""What the server raises on purpose.

BenchError
  +-- ServerError
        +-- FolderError       the data folder cannot be used
        +-- DatabaseError     the database cannot be used
        +-- CertificateError  the certificate cannot be used
        +-- StartError        a process of the server did not start
        +-- CrashedError      the server ended before it was ready
        +-- Refused           a call is refused; carries the reason that goes on the wire
"""

from collections.abc import Sequence

from bench_core import BenchError

STATUS = {
    "TOKEN_MISSING": "UNAUTHENTICATED",
    "TOKEN_INVALID": "UNAUTHENTICATED",
    "TOKEN_EXPIRED": "UNAUTHENTICATED",
    "LOGIN_FAILED": "UNAUTHENTICATED",
    "FIELD_INVALID": "INVALID_ARGUMENT",
    "TOO_MANY_STREAMS": "RESOURCE_EXHAUSTED",
    "TOO_MANY_ATTEMPTS": "RESOURCE_EXHAUSTED",
    "INTERNAL_ERROR": "INTERNAL",
    "HAS_ACCOUNTS": "FAILED_PRECONDITION",
    "NOT_LOOPBACK": "PERMISSION_DENIED",
    "PASSWORD_WRONG": "PERMISSION_DENIED",
    "LOGIN_NEEDED": "PERMISSION_DENIED",
    "OWNER_NEEDED": "PERMISSION_DENIED",
    "INVITATION_INVALID": "NOT_FOUND",
    "USERNAME_TAKEN": "ALREADY_EXISTS",
    "TOKEN_NAME_TAKEN": "ALREADY_EXISTS",
    "TOKEN_NOT_FOUND": "NOT_FOUND",
    "PROJECT_NAME_TAKEN": "ALREADY_EXISTS",
    "PROJECT_NOT_FOUND": "NOT_FOUND",
    "USER_NOT_FOUND": "NOT_FOUND",
    "MEMBER_NOT_FOUND": "NOT_FOUND",
    "LAST_OWNER": "FAILED_PRECONDITION",
    "OFFSET_MISMATCH": "OUT_OF_RANGE",
    "RANGE_INVALID": "OUT_OF_RANGE",
    "UPLOAD_IN_PROGRESS": "ABORTED",
    "DIGEST_MISMATCH": "INVALID_ARGUMENT",
    "MANIFEST_INVALID": "INVALID_ARGUMENT",
    "CHUNK_INVALID": "INVALID_ARGUMENT",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "DISK_FULL": "RESOURCE_EXHAUSTED",
    "BLOB_NOT_FOUND": "NOT_FOUND",
    "BLOB_DAMAGED": "FAILED_PRECONDITION",
    "BLOBS_MISSING": "FAILED_PRECONDITION",
    "BUNDLE_INVALID": "INVALID_ARGUMENT",
    "VERSION_PINNED": "FAILED_PRECONDITION",
    "PROJECT_VERSION_NOT_FOUND": "NOT_FOUND",
    "DATASET_NOT_FOUND": "NOT_FOUND",
    "VERSION_NOT_FOUND": "NOT_FOUND",
    "RUN_ID_TAKEN": "ALREADY_EXISTS",
    "RUN_NAME_TAKEN": "ALREADY_EXISTS",
    "RUN_NOT_FOUND": "NOT_FOUND",
    "RUN_NOT_ENDED": "FAILED_PRECONDITION",
    "RUN_EXTERNAL": "FAILED_PRECONDITION",
    "RUN_NOT_EXTERNAL": "FAILED_PRECONDITION",
    "TRACK_INVALID": "INVALID_ARGUMENT",
    "BATCH_NOT_FOUND": "NOT_FOUND",
    "CHECKPOINT_NOT_FOUND": "NOT_FOUND",
    "CHECKPOINT_ELSEWHERE": "FAILED_PRECONDITION",
    "CHECKPOINT_INVALID": "INVALID_ARGUMENT",
    "ENGINE_MISSING": "FAILED_PRECONDITION",
    "ARTIFACT_NOT_FOUND": "NOT_FOUND",
    "SECRET_NOT_FOUND": "NOT_FOUND",
}
"""The gRPC status of each reason; the contracts say what each means."""


class ServerError(BenchError):
    """The server cannot do what was asked."""


class FolderError(ServerError):
    """The data folder cannot be used."""


class DatabaseError(ServerError):
    """The database cannot be used."""


class CertificateError(ServerError):
    """The certificate cannot be used."""


class StartError(ServerError):
    """A process of the server did not start."""


class CrashedError(ServerError):
    """A server in the background ended before it was ready.

    Args:
        message: Why, as it said.
        hint: What to do about it.
        log_tail: The last lines of its log before that.
    """

    def __init__(self, message: str, *, hint: str | None, log_tail: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.log_tail = list(log_tail)


class Refused(ServerError):
    """A call is refused.

    Args:
        reason: One of `STATUS`.
        message: What happened, with the value that was wrong.
        hint: What to do about it.
        metadata: More for programs, as the contract says.
    """

    def __init__(self, reason: str, message: str, *, hint: str | None = None, **metadata: str | int) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.status = STATUS[reason]
        self.metadata = {name: str(value) for name, value in metadata.items()}


def invalid(field: str, message: str, *, hint: str | None = None) -> Refused:
    """The refusal of a field's value."""
    return Refused("FIELD_INVALID", f"{field}: {message}", hint=hint, field=field)
