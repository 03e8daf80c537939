"""Log in and out, and find out who is logged in where."""

import contextlib
import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import grpc
from bench_protos.auth.v1 import auth_pb2 as pb
from bench_protos.auth.v1.auth_pb2_grpc import AuthServiceStub

from bench_auth.calls import Route, call
from bench_auth.channel import channel_to
from bench_auth.credentials import Credential, CredentialStore
from bench_auth.endpoints import Endpoint, parse_endpoint
from bench_auth.errors import NotLoggedInError
from bench_auth.settings import CONFIG_VARIABLE, ENDPOINT_VARIABLE, TOKEN_VARIABLE
from bench_auth.trust import trust_for

DEFAULT_ENDPOINT = "http://localhost:8470"
"""Where `bench-server start` listens."""

LOGIN_PREFIX = "bench_u_"
"""Of the tokens that a login makes."""


@dataclass(frozen=True)
class SettledEndpoint:
    """The server that is used.

    Args:
        url: Its endpoint.
        source: What settles it: "argument", "environment", "user" (the last login, or
            `prefer_endpoint`) or "default".
    """

    url: str
    source: str


@dataclass(frozen=True)
class User:
    """Who is logged in.

    Args:
        username: The account's name.
        endpoint: The server's URL.
        is_owner: Whether the account owns the server.
    """

    username: str
    endpoint: str
    is_owner: bool


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself to anybody.

    Args:
        server_id: Of its data.
        version: Its release.
        can_create_owner: Whether it has no account yet and would take the first one from here.
        server_time: Its clock.
    """

    server_id: str
    version: str
    can_create_owner: bool
    server_time: datetime.datetime


def server_fingerprint(endpoint: str | None = None) -> str | None:
    """The fingerprint of what answers at an endpoint, to be compared with the one that the server printed.

    Returns:
        SHA-256 as `openssl x509 -fingerprint -sha256` writes it; None where the endpoint has no TLS.

    Raises:
        UnreachableError: Nothing answers, or without TLS.
    """
    where = _endpoint(endpoint)
    if not where.secure:
        return None
    from bench_auth.certificates import anchor, fingerprint  # with cryptography: 0.15 s
    from bench_auth.probe import show

    return fingerprint(anchor(show(where).chain))


def server_info(endpoint: str | None = None, *, trust: str | None = None) -> ServerInfo:
    """Ask a server what it is.

    Args:
        endpoint: The server's URL, as in `login`.
        trust: As in `login`; it is not kept.

    Raises:
        AuthError: It cannot be reached.
    """
    found = call(_open_stub(_route(endpoint, trust)).GetServerInfo, pb.GetServerInfoRequest())
    server_time = found.server_time.ToDatetime(datetime.timezone.utc)
    return ServerInfo(found.server_id, found.version, found.can_create_owner, server_time)


def login(endpoint: str | None, username: str, password: str, *, trust: str | None = None) -> User:
    """Log in, and keep the token in this user's credential file.

    Args:
        endpoint: The server's URL; None: `$BENCH_ENDPOINT`, else that of the last login, else this machine's.
        username: The account's name.
        password: Its password.
        trust: The fingerprint that the user has confirmed; the certificate is pinned with the login.

    Raises:
        AuthError: The server cannot be reached or refuses.
        UntrustedServerError: Nobody vouches for the server: show the fingerprint, ask, call again with it.
        CertificateChangedError: The server is not the one that was trusted.
        NotLoggedInError: Wrong name or password, or `$BENCH_TOKEN` is set, which would win over this login.
    """
    _refuse_beside_variable()
    route = _route(endpoint, trust)
    request = pb.LoginRequest(username=username, password=password, token_name=_here())
    answer = call(_open_stub(route).Login, request)
    return _keep(route, answer.user, answer.token)


def login_with_token(endpoint: str | None, token: str, *, trust: str | None = None) -> User:
    """Keep a token that was made elsewhere.

    Args:
        endpoint: As for `login`.
        token: Of the account, such as a personal one.
        trust: As for `login`.

    Raises:
        AuthError: The server cannot be reached, or does not take it.
    """
    _refuse_beside_variable()
    route = _route(endpoint, trust)
    stub = AuthServiceStub(channel_to(route.endpoint, token, route.trust))
    return _keep(route, call(stub.GetCurrentUser, pb.GetCurrentUserRequest()).user, token)


def create_owner(endpoint: str | None, username: str, password: str, *, trust: str | None = None) -> User:
    """Make the first account of a server on this machine, and log in with it. Arguments as in `login`.

    Raises:
        AuthError: The server cannot be reached or refuses.
    """
    _refuse_beside_variable()
    route = _route(endpoint, trust)
    request = pb.CreateOwnerRequest(username=username, password=password, token_name=_here())
    answer = call(_open_stub(route).CreateOwner, request)
    return _keep(route, answer.user, answer.token)


def accept_invitation(
    endpoint: str | None, invitation: str, username: str, password: str, *, trust: str | None = None
) -> User:
    """Make an account by an invitation, and log in with it. Other arguments as in `login`.

    Raises:
        AuthError: The server cannot be reached or refuses.
    """
    _refuse_beside_variable()
    route = _route(endpoint, trust)
    request = pb.AcceptInvitationRequest(
        invitation=invitation, username=username, password=password, token_name=_here()
    )
    answer = call(_open_stub(route).AcceptInvitation, request)
    return _keep(route, answer.user, answer.token)


def logout(endpoint: str | None = None) -> None:
    """Revoke the login and forget it. A server that no longer knows it is fine; one that is away is not.

    A token of `login_with_token` is only forgotten: it may be in use elsewhere.

    Raises:
        NotLoggedInError: There is none.
        UnreachableError: The server is away; the login is kept.
    """
    where, store = _endpoint(endpoint), _store()
    credential = store.get(where.url)
    if credential is None:
        raise _not_logged_in(where)
    if credential.token.startswith(LOGIN_PREFIX):
        trust = trust_for(where, credential.certificate)
        with contextlib.suppress(NotLoggedInError):
            call(AuthServiceStub(channel_to(where, credential.token, trust)).Logout, pb.LogoutRequest())
    store.remove(where.url)


def current_user(endpoint: str | None = None) -> User:
    """Who is logged in, as the server says.

    Raises:
        NotLoggedInError: Nobody is, or the login has ended.
        AuthError: The server cannot be reached.
    """
    where = _endpoint(endpoint)
    found = call(AuthServiceStub(open_channel(where.url)).GetCurrentUser, pb.GetCurrentUserRequest())
    return User(found.user.username, where.url, found.user.is_owner)


def open_channel(endpoint: str | None = None) -> grpc.Channel:
    """A channel that sends this user's token with every call: `$BENCH_TOKEN`, else that of the login.

    The channel belongs to the process and is shared; do not close it.

    Raises:
        NotLoggedInError: There is no token.
        EndpointError: The endpoint is no URL of a server.
        CertificateError: What is to be trusted is none; or `$BENCH_FINGERPRINT` is not the server's.
        UnreachableError: `$BENCH_FINGERPRINT` is set, for which the server must be asked, and it is away.
    """
    where = _endpoint(endpoint)
    token, credential = os.environ.get(TOKEN_VARIABLE), _store().get(where.url)
    if token is None and credential is None:
        raise _not_logged_in(where)
    trust = trust_for(where, credential.certificate if credential else None)
    return channel_to(where, token or (credential.token if credential else None), trust)


def settle_endpoint(endpoint: str | None = None) -> SettledEndpoint:
    """The server that a call with this argument would use, and what settles it.

    Raises:
        EndpointError: It is no URL of a server.
        CredentialsError: The credential file cannot be read.
    """
    if endpoint:
        return SettledEndpoint(parse_endpoint(endpoint).url, "argument")
    if from_environment := os.environ.get(ENDPOINT_VARIABLE):
        return SettledEndpoint(parse_endpoint(from_environment).url, "environment")
    if current := _store().current():
        return SettledEndpoint(parse_endpoint(current).url, "user")
    return SettledEndpoint(DEFAULT_ENDPOINT, "default")


def prefer_endpoint(endpoint: str | None) -> None:
    """Use a server by default from now on, whether there is a login or not; None: this machine's.

    Raises:
        EndpointError: It is no URL of a server.
        CredentialsError: The credential file cannot be written.
    """
    _store().prefer(parse_endpoint(endpoint).url if endpoint else None)


def credentials_path() -> Path:
    """The file that keeps the logins; it need not exist."""
    return _store().path


def _endpoint(given: str | None) -> Endpoint:
    return parse_endpoint(settle_endpoint(given).url)


def _store() -> CredentialStore:
    folder = os.environ.get(CONFIG_VARIABLE)
    return CredentialStore(Path(folder) / "credentials.json" if folder else None)


def _route(endpoint: str | None, trust: str | None) -> Route:
    where = _endpoint(endpoint)
    stored = _store().get(where.url)
    return Route(where, trust_for(where, stored.certificate if stored else None, trust))


def _open_stub(route: Route) -> AuthServiceStub:
    return AuthServiceStub(channel_to(route.endpoint, None, route.trust))


def _keep(route: Route, user: pb.User, token: str) -> User:
    info = call(_open_stub(route).GetServerInfo, pb.GetServerInfoRequest())
    certificate = route.trust.certificate if route.trust else None
    _store().put(route.endpoint.url, Credential(info.server_id, user.username, token, certificate))
    return User(user.username, route.endpoint.url, user.is_owner)


def _refuse_beside_variable() -> None:
    if TOKEN_VARIABLE in os.environ:
        raise NotLoggedInError(
            f"{TOKEN_VARIABLE} is set and would win over this login", hint=f"Unset {TOKEN_VARIABLE} first."
        )


def _not_logged_in(endpoint: Endpoint) -> NotLoggedInError:
    return NotLoggedInError(f"there is no login at {endpoint.url}", hint="Log in: `bench login`.")


def _here() -> str:
    return f"{platform.node() or 'somewhere'}"[:100]
