"""Who may do what: the rules of calls and pages, and the one place where they are kept.

Each method of a service or page declares its rule with `allow`; what serves it (rpc/calls.py, web/pages.py)
asks `admit` before the method is entered, so that none can forget to. One without a rule is not served: the
server refuses to start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar
from uuid import UUID

from bench_server.accounts.models import Token, User
from bench_server.errors import Refused, invalid
from bench_server.projects import services as projects
from bench_server.projects.models import Membership, Project
from bench_server.runs import attempt_tokens
from bench_server.runs.models import Attempt

Method = TypeVar("Method", bound=Callable[..., Any])


class Rule(Enum):
    """Who may make a call, or see a page."""

    OPEN = auto()
    """Anybody."""

    USER = auto()
    """Whoever has a login or personal token."""

    LOGIN = auto()
    """Whoever has a login token: a stolen personal token must not make itself at home."""

    SERVER_OWNER = auto()
    """The server's owner, with a login token."""

    MEMBER = auto()
    """A member of the project that the request names."""

    PROJECT_OWNER = auto()
    """An owner of that project."""

    ATTEMPT = auto()
    """An attempt of a run, with the token that it was started with."""

    @property
    def is_about_a_project(self) -> bool:
        """Whether the request names a project."""
        return self in (Rule.MEMBER, Rule.PROJECT_OWNER)


def allow(rule: Rule) -> Callable[[Method], Method]:
    """Declare a method's rule."""

    def declare(method: Method) -> Method:
        method.rule = rule  # type: ignore[attr-defined]
        return method

    return declare


@dataclass(frozen=True)
class Caller:
    """Who makes a call or visits a page, and from where.

    Args:
        address: An IP address, or "unix".
        token: None where the rule is OPEN.
        membership: In the project of the request, where the rule is about one.
        attempt: Which, where the rule is ATTEMPT.
    """

    address: str
    token: Token | None = None
    membership: Membership | None = None
    attempt: Attempt | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether it comes from this machine."""
        return self.address in ("unix", "::1") or self.address.startswith("127.")

    @property
    def used_token(self) -> Token:
        """The token; only where the rule asks for one."""
        assert self.token is not None
        return self.token

    @property
    def user(self) -> User:
        """The token's user."""
        return self.used_token.user

    @property
    def place(self) -> Membership:
        """The user's membership; only where the rule is about a project."""
        assert self.membership is not None
        return self.membership

    @property
    def project(self) -> Project:
        """The request's project."""
        return self.place.project

    @property
    def own_attempt(self) -> Attempt:
        """The attempt that calls; only where the rule is ATTEMPT."""
        assert self.attempt is not None
        return self.attempt


def admit(rule: Rule, address: str, token: Token, project_id: str) -> Caller:
    """Keep a rule.

    Args:
        rule: Not OPEN.
        address: Where the caller is.
        token: The caller's, found to be good.
        project_id: The project that the request names, where the rule is about one.

    Raises:
        Refused: The caller may not do this.
    """
    if rule is Rule.ATTEMPT:
        return Caller(address, token, attempt=attempt_tokens.attempt_of(token))
    needs_login = rule in (Rule.LOGIN, Rule.SERVER_OWNER)
    if token.kind == Token.Kind.RUN or (needs_login and token.kind != Token.Kind.LOGIN):
        raise Refused("LOGIN_NEEDED", "this takes a login, not a token of another kind", hint="Log in.")
    if rule is Rule.SERVER_OWNER and not token.user.is_owner:
        raise Refused("OWNER_NEEDED", "only the server's owner may do this")
    if not rule.is_about_a_project:
        return Caller(address, token)
    membership = projects.membership(token.user, uuid_of("project_id", project_id))
    if rule is Rule.PROJECT_OWNER and not membership.is_owner:
        raise Refused(
            "OWNER_NEEDED",
            f"only an owner of {membership.project.name} may do this",
            hint="Ask one of the project's owners.",
        )
    return Caller(address, token, membership)


def uuid_of(field: str, text: str) -> UUID:
    """A field that must be a UUID.

    Raises:
        Refused: FIELD_INVALID.
    """
    try:
        return UUID(text)
    except ValueError:
        raise invalid(field, f"{text!r} is no UUID") from None
