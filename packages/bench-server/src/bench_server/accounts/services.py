"""What can be done with accounts. RPCs, pages and commands only translate."""

import datetime
import hmac
from dataclasses import dataclass
from uuid import UUID

from axes.handlers.proxy import AxesProxyHandler
from axes.utils import reset as forget_attempts
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from bench_server.accounts.models import Invitation, Token, User, WebLogin
from bench_server.accounts.secrets import SECRET, hash_of, new_secret
from bench_server.errors import Refused, invalid
from bench_server.prepared import Prepared

LOGIN_DAYS = 30
"""A login ends so long after its last use."""

INVITATION_DAYS = 7
"""An invitation ends so long after it was made."""

WEB_LOGIN_SECONDS = 60
"""A sign-in link ends so long after it was made."""

USE_RESOLUTION = datetime.timedelta(minutes=1)
"""A token's last use is noted no more often than this, to spare the database a write for each call."""

_TOKEN = Prepared(Token.objects.select_related("user"), "secret_hash")


@dataclass(frozen=True)
class Login:
    """A new token with its secret."""

    secret: str
    token: Token


def has_accounts() -> bool:
    """Whether the server has an account."""
    return User.objects.exists()


def create_user(username: str, password: str, *, is_owner: bool = False) -> User:
    """Make an account.

    Raises:
        Refused: FIELD_INVALID or USERNAME_TAKEN.
    """
    user = User(username=User.normalize_username(username), is_owner=is_owner)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise invalid("username", _first(error)) from None
    check_password(password, user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        if is_owner and User.objects.filter(is_owner=True).exists():
            raise _has_accounts() from None
        raise Refused("USERNAME_TAKEN", f"there is a user {username!r}", hint="Take another name.") from None
    return user


def check_password(password: str, user: User) -> None:
    """Refuse a password that is easily guessed.

    Raises:
        Refused: FIELD_INVALID.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise invalid("password", _first(error)) from None


def create_owner(username: str, password: str) -> User:
    """Make the first account.

    Raises:
        Refused: HAS_ACCOUNTS, FIELD_INVALID.
    """
    if has_accounts():
        raise _has_accounts()
    return create_user(username, password, is_owner=True)  # of two at once the database takes one


def _has_accounts() -> Refused:
    return Refused(
        "HAS_ACCOUNTS",
        "this server has an account already",
        hint="Log in with it, or ask its owner for an invitation.",
    )


def log_in(username: str, password: str, address: str) -> User:
    """Check a name and a password.

    Args:
        username: The name.
        password: The password.
        address: Where the caller is, for the limit on attempts.

    Raises:
        Refused: LOGIN_FAILED, TOO_MANY_ATTEMPTS.
    """
    request = HttpRequest()
    request.method, request.path = "POST", "/login"
    request.META["REMOTE_ADDR"] = "127.0.0.1" if address == "unix" else address
    user = authenticate(request, username=username, password=password)
    if isinstance(user, User):
        forget_attempts(username=username)  # the account's only: who has one must not clear another's
        return user
    if not AxesProxyHandler.is_allowed(request, {"username": username}):
        seconds = int(float(settings.AXES_COOLOFF_TIME) * 3600)
        raise Refused(
            "TOO_MANY_ATTEMPTS",
            "too many attempts with a wrong password",
            hint=f"Try again in {seconds // 60} minutes.",
            retry_after_seconds=seconds,
        )
    raise Refused("LOGIN_FAILED", "wrong name or password", hint="Check both; the password knows case.")


def create_login(user: User, name: str) -> Login:
    """Make a login token."""
    expire_time = timezone.now() + datetime.timedelta(days=LOGIN_DAYS)
    return _create_token(user, Token.Kind.LOGIN, name or "login", expire_time)


def create_personal_token(user: User, name: str, expire_time: datetime.datetime | None) -> Login:
    """Make a personal token.

    Raises:
        Refused: FIELD_INVALID, TOKEN_NAME_TAKEN.
    """
    if not name or len(name) > 100:
        raise invalid("name", "must have 1 to 100 characters")
    if expire_time is not None and expire_time <= timezone.now():
        raise invalid("expire_time", "lies in the past")
    try:
        with transaction.atomic():
            Token.objects.filter(
                user=user, kind=Token.Kind.PERSONAL, name=name, expire_time__lte=timezone.now()
            ).delete()
            return _create_token(user, Token.Kind.PERSONAL, name, expire_time)
    except IntegrityError:
        raise Refused(
            "TOKEN_NAME_TAKEN", f"there is a token {name!r}", hint="Revoke it, or take another name."
        ) from None


def create_run_token(user: User, name: str) -> Login:
    """Make the token of a run's attempt, which ends with that one."""
    return _create_token(user, Token.Kind.RUN, name, None)


def find_token(secret: str) -> Token:
    """The token of a secret, and note its use.

    Raises:
        Refused: TOKEN_INVALID, TOKEN_EXPIRED.
    """
    digest = hash_of(secret)
    found = _TOKEN.first(digest) if SECRET.fullmatch(secret) else None
    if not found or not hmac.compare_digest(bytes(found.secret_hash), digest) or not found.user.is_active:
        raise Refused("TOKEN_INVALID", "the token is unknown or was revoked", hint="Log in again.")
    now = timezone.now()
    if found.expire_time is not None and found.expire_time <= now:
        raise Refused(
            "TOKEN_EXPIRED",
            f"the token ended at {found.expire_time:%Y-%m-%d %H:%M} UTC",
            hint="Log in again.",
        )
    if found.last_use_time is None or now - found.last_use_time >= USE_RESOLUTION:
        found.last_use_time = now
        changes: dict[str, datetime.datetime] = {"last_use_time": now}
        if found.kind == Token.Kind.LOGIN:
            found.expire_time = changes["expire_time"] = now + datetime.timedelta(days=LOGIN_DAYS)
        Token.objects.filter(pk=found.pk).update(**changes)  # not save(): it may have been revoked meanwhile
    return found


def end_login(secret: str) -> None:
    """End the login of a secret, if there is one."""
    Token.objects.filter(secret_hash=hash_of(secret), kind=Token.Kind.LOGIN).delete()


def live_tokens(user: User) -> QuerySet[Token]:
    """A user's logins and personal tokens that have not ended; those of attempts end with them."""
    return _own_tokens(user).filter(Q(expire_time=None) | Q(expire_time__gt=timezone.now()))


def _own_tokens(user: User) -> QuerySet[Token]:
    return user.tokens.exclude(kind=Token.Kind.RUN)


def revoke_token(user: User, token_id: UUID) -> None:
    """End one of a user's logins and personal tokens.

    Raises:
        Refused: TOKEN_NOT_FOUND.
    """
    if not _own_tokens(user).filter(pk=token_id).delete()[0]:
        raise Refused("TOKEN_NOT_FOUND", f"there is no token {token_id}")


def change_password(user: User, current: str, new: str, *, address: str, keep: Token | None) -> None:
    """Change a password, and end the user's logins but one.

    Raises:
        Refused: PASSWORD_WRONG, TOO_MANY_ATTEMPTS, FIELD_INVALID.
    """
    try:
        log_in(user.username, current, address)
    except Refused as refused:
        if refused.reason == "LOGIN_FAILED":
            raise Refused("PASSWORD_WRONG", "that is not the current password") from None
        raise
    check_password(new, user)
    user.set_password(new)
    with transaction.atomic():
        user.save(update_fields=["password"])
        others = user.tokens.filter(kind=Token.Kind.LOGIN)
        (others.exclude(pk=keep.pk) if keep else others).delete()


def create_invitation() -> tuple[str, Invitation]:
    """Make an invitation; its secret is shown once."""
    secret, digest = new_secret("i")
    expire_time = timezone.now() + datetime.timedelta(days=INVITATION_DAYS)
    return secret, Invitation.objects.create(secret_hash=digest, expire_time=expire_time)


def open_invitations() -> QuerySet[Invitation]:
    """Invitations that can be used, newest first."""
    return Invitation.objects.filter(use_time=None, expire_time__gt=timezone.now()).order_by("-pk")


def revoke_invitation(invitation_id: UUID) -> None:
    """End an invitation that was not used.

    Raises:
        Refused: INVITATION_INVALID.
    """
    if not open_invitations().filter(pk=invitation_id).delete()[0]:
        raise Refused("INVITATION_INVALID", "the invitation is unknown, was used, or has ended")


def accept_invitation(secret: str, username: str, password: str) -> User:
    """Make an account by an invitation.

    Raises:
        Refused: INVITATION_INVALID, USERNAME_TAKEN, FIELD_INVALID.
    """
    with transaction.atomic():
        open_ones = open_invitations().select_for_update()
        invitation = open_ones.filter(secret_hash=hash_of(secret)).first()
        if invitation is None:
            raise Refused(
                "INVITATION_INVALID",
                "the invitation is unknown, was used, or has ended",
                hint="Ask for a new one.",
            )
        user = create_user(username, password)
        invitation.used_by, invitation.use_time = user, timezone.now()
        invitation.save()
    return user


def create_web_login(user: User) -> tuple[str, WebLogin]:
    """Make a sign-in link for one use in a browser; its secret is shown once."""
    secret, digest = new_secret("w")
    now = timezone.now()
    WebLogin.objects.filter(expire_time__lte=now).delete()
    expire_time = now + datetime.timedelta(seconds=WEB_LOGIN_SECONDS)
    return secret, WebLogin.objects.create(user=user, secret_hash=digest, expire_time=expire_time)


def use_web_login(secret: str) -> User:
    """Use up a sign-in link.

    Raises:
        Refused: LOGIN_FAILED.
    """
    with transaction.atomic():
        open_ones = WebLogin.objects.filter(expire_time__gt=timezone.now(), user__is_active=True)
        found = open_ones.select_related("user").filter(secret_hash=hash_of(secret)).first()
        if found is not None and found.delete()[0]:  # of two at once the database takes one
            return found.user
    raise Refused(
        "LOGIN_FAILED",
        "the sign-in link is unknown, was used, or has ended",
        hint="Run `bench open` again, or sign in with your password.",
    )


def _create_token(user: User, kind: Token.Kind, name: str, expire_time: datetime.datetime | None) -> Login:
    secret, digest = new_secret(kind.value)
    fields = {
        "user": user,
        "kind": kind,
        "name": name[:100],
        "secret_hash": digest,
        "expire_time": expire_time,
    }
    return Login(secret, Token.objects.create(**fields))


def _first(error: ValidationError) -> str:
    return str(error.messages[0])
