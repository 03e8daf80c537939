"""The pages of accounts: sign-in, invitations, tokens."""

import datetime
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from bench_server.access import Caller, Rule, allow
from bench_server.accounts import services
from bench_server.accounts.models import User
from bench_server.errors import Refused, invalid
from bench_server.web import cookies
from bench_server.web.addresses import invitation_link, is_page
from bench_server.web.pages import go, page_of, show

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class SignInPage:
    """A name and a password."""

    @allow(Rule.OPEN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form; on an empty server, how to make the first account."""
        if caller.token and not refused:
            return go(_following(request))
        if not services.has_accounts():
            return go("first-account")
        return show(request, "accounts/sign_in.html", refused, next=_following(request))

    @allow(Rule.OPEN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Sign in."""
        try:
            user = services.log_in(request.POST.get("username", ""), _password(request), caller.address)
        except Refused as refused:
            return self.get(request, caller, refused)
        return _signed_in(request, user)


class SignInLinkPage:
    """A link that `bench open` made; its secret is in the fragment, and a script puts it into the form."""

    @allow(Rule.OPEN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form."""
        return show(request, "accounts/sign_in_link.html", refused, next=_following(request))

    @allow(Rule.OPEN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Sign in, once."""
        try:
            user = services.use_web_login(request.POST.get("secret", ""))
        except Refused as refused:
            return self.get(request, caller, refused)
        return _signed_in(request, user)


class SignOutPage:
    """The end of a login."""

    @allow(Rule.LOGIN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Sign out."""
        caller.used_token.delete()
        messages.success(request, "You are signed out.")
        response = go("sign-in")
        cookies.forget(response)
        return response


class FirstAccountPage:
    """The owner's account, on an empty server."""

    @allow(Rule.OPEN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form, to who sits at the server's machine."""
        if services.has_accounts() and not refused:
            return go("sign-in")
        return show(request, "accounts/first_account.html", refused, is_here=_is_here(request, caller))

    @allow(Rule.OPEN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make the account and sign in."""
        if not _is_here(request, caller):
            raise Refused(
                "NOT_LOOPBACK",
                "the first account is made on the server's own machine",
                hint="Open this page there, or run `bench-server createuser --owner`.",
            )
        try:
            user = services.create_owner(request.POST.get("username", ""), _new_password(request))
        except Refused as refused:
            return self.get(request, caller, refused)
        return _signed_in(request, user)


class InvitationPage:
    """An account by an invitation; its secret comes in the fragment, or by hand."""

    @allow(Rule.OPEN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form."""
        return show(request, "accounts/invitation.html", refused)

    @allow(Rule.OPEN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make the account and sign in."""
        secret, username = request.POST.get("secret", "").strip(), request.POST.get("username", "")
        try:
            user = services.accept_invitation(secret, username, _new_password(request))
        except Refused as refused:
            return self.get(request, caller, refused)
        return _signed_in(request, user)


class InvitationsPage:
    """The invitations that can be used."""

    @allow(Rule.SERVER_OWNER)
    def get(self, request: HttpRequest, caller: Caller, link: str = "") -> HttpResponse:
        """The list."""
        invitations = page_of(request, services.open_invitations())
        return show(request, "accounts/invitations.html", invitations=invitations, link=link)

    @allow(Rule.SERVER_OWNER)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make one; its link is shown once."""
        secret, _ = services.create_invitation()
        return self.get(request, caller, link=invitation_link(secret))


class RevokeInvitationPage:
    """The end of an invitation."""

    @allow(Rule.SERVER_OWNER)
    def post(self, request: HttpRequest, caller: Caller, invitation_id: UUID) -> HttpResponse:
        """Revoke it."""
        services.revoke_invitation(invitation_id)
        messages.success(request, "The invitation is revoked.")
        return go("invitations")


class PasswordPage:
    """A new password."""

    @allow(Rule.LOGIN)
    def get(self, request: HttpRequest, caller: Caller, refused: Refused | None = None) -> HttpResponse:
        """The form."""
        return show(request, "accounts/password.html", refused)

    @allow(Rule.LOGIN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Change it; all other logins end."""
        current = request.POST.get("current", "")
        try:
            services.change_password(
                caller.user, current, _new_password(request), address=caller.address, keep=caller.token
            )
        except Refused as refused:
            return self.get(request, caller, refused)
        messages.success(request, "The password is changed. Your other logins have ended.")
        return go("tokens")


class TokensPage:
    """The logins and tokens of who visits it."""

    @allow(Rule.LOGIN)
    def get(
        self, request: HttpRequest, caller: Caller, refused: Refused | None = None, secret: str = ""
    ) -> HttpResponse:
        """The list."""
        tokens = page_of(request, services.live_tokens(caller.user).order_by("-pk"))
        today = timezone.now().date()
        return show(request, "accounts/tokens.html", refused, tokens=tokens, secret=secret, today=today)

    @allow(Rule.LOGIN)
    def post(self, request: HttpRequest, caller: Caller) -> HttpResponse:
        """Make a personal token; its secret is shown once."""
        try:
            end = _end_of(request.POST.get("expire_time", ""))
            made = services.create_personal_token(caller.user, request.POST.get("name", ""), end)
        except Refused as refused:
            return self.get(request, caller, refused)
        return self.get(request, caller, secret=made.secret)


class RevokeTokenPage:
    """The end of a token."""

    @allow(Rule.LOGIN)
    def post(self, request: HttpRequest, caller: Caller, token_id: UUID) -> HttpResponse:
        """Revoke it."""
        services.revoke_token(caller.user, token_id)
        messages.success(request, "The token is revoked.")
        return go("tokens")


def _following(request: HttpRequest) -> str:
    """The page that was asked for before signing in."""
    path = request.POST.get("next") or request.GET.get("next", "")
    return path if is_page(path) else "/"


def _signed_in(request: HttpRequest, user: User) -> HttpResponse:
    response = go(_following(request))
    cookies.sign_in(request, response, user)
    return response


def _password(request: HttpRequest) -> str:
    return request.POST.get("password", "")


def _new_password(request: HttpRequest) -> str:
    """A password that was typed twice.

    Raises:
        Refused: FIELD_INVALID: the two differ.
    """
    if _password(request) != request.POST.get("again", ""):
        raise invalid("again", "the two passwords differ")
    return _password(request)


def _is_here(request: HttpRequest, caller: Caller) -> bool:
    """Whether somebody at the server's own machine asks, and not a proxy on it for somebody else."""
    host = request.get_host().rpartition(":")[0] or request.get_host()
    return caller.is_loopback and host in LOOPBACK_HOSTS


def _end_of(day: str) -> datetime.datetime | None:
    """The end of a day in UTC; None for no day."""
    if not day:
        return None
    try:
        return datetime.datetime.combine(
            datetime.date.fromisoformat(day), datetime.time.max, datetime.timezone.utc
        )
    except ValueError:
        raise invalid("expire_time", f"{day!r} is no date", hint="Write it as 2030-12-31.") from None
