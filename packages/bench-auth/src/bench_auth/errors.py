"""What bench-auth raises, and what the server's refusals become.

BenchError
  +-- AuthError
        +-- EndpointError         the endpoint is no URL of a server
        +-- CredentialsError      the credential file cannot be used
        +-- NotLoggedInError      there is no token, or the server does not take it
        +-- ServerAnswerError     the server refused; has its status and reason
              +-- InvalidError            INVALID_ARGUMENT: a value will not do
              +-- NotFoundError           NOT_FOUND
              +-- AlreadyExistsError      ALREADY_EXISTS
              +-- NotAllowedError         PERMISSION_DENIED
              +-- NotPossibleError        FAILED_PRECONDITION: not in this state of things
              +-- LimitError              RESOURCE_EXHAUSTED: too many attempts, quota, disk full
              +-- ServerFailedError       INTERNAL and whatever else no server should say
        +-- CertificateError      the server's certificate will not do; nothing was sent
        |     +-- UntrustedServerError     nobody vouches for it; has its fingerprint
        |     +-- CertificateChangedError  it is another than the one that was trusted
        +-- UnreachableError      the server is away, or something else answers there
        +-- TimedOutError         the server did not answer in time
"""

from bench_core import BenchError


class AuthError(BenchError):
    """Talking to the server failed."""


class EndpointError(AuthError):
    """The endpoint is no URL of a server."""


class CredentialsError(AuthError):
    """The credential file cannot be used."""


class NotLoggedInError(AuthError):
    """There is no token, or the server does not take it."""


class CertificateError(AuthError):
    """The server's certificate will not do. Neither password nor token was sent."""


class UntrustedServerError(CertificateError):
    """Nobody whom this machine trusts vouches for the server, and no fingerprint was confirmed.

    Attributes:
        fingerprint: To be compared with what the server printed at its start, and then to log in with.
    """

    fingerprint: str = ""


class CertificateChangedError(CertificateError):
    """The server shows another certificate than the trusted one.

    Attributes:
        trusted: The fingerprint that was confirmed.
        fingerprint: That of what answers now.
    """

    trusted: str = ""
    fingerprint: str = ""


class UnreachableError(AuthError):
    """The server is away, or something else answers there."""


class TimedOutError(AuthError):
    """The server did not answer in time."""


class ServerAnswerError(AuthError):
    """The server refused.

    Attributes:
        reason: The contract's word for it, such as "PROJECT_NAME_TAKEN"; empty if it gave none.
        metadata: More, as the contract says.
    """

    reason: str = ""
    metadata: dict[str, str]


class InvalidError(ServerAnswerError):
    """A value will not do."""


class NotFoundError(ServerAnswerError):
    """It is not there, or not for this user."""


class AlreadyExistsError(ServerAnswerError):
    """It is there already."""


class NotAllowedError(ServerAnswerError):
    """This user may not do it."""


class NotPossibleError(ServerAnswerError):
    """It cannot be done in this state of things."""


class LimitError(ServerAnswerError):
    """Too many attempts, a quota, or a full disk."""


class ServerFailedError(ServerAnswerError):
    """The server failed."""
