"""The token of an attempt: made at its start, dead with its end or as soon as another attempt follows."""

from django.db import transaction
from django.db.models import Exists, OuterRef

from bench_server.accounts.models import Token
from bench_server.accounts.services import create_run_token
from bench_server.errors import Refused
from bench_server.runs.models import Attempt
from bench_server.runs.transitions import UNFINISHED


def make(attempt: Attempt) -> str:
    """Make the attempt's token anew; the secret.

    Raises:
        Refused: USER_NOT_FOUND: whoever made the run is gone.
    """
    run = attempt.run
    if run.creator is None:
        raise Refused("USER_NOT_FOUND", f"the account that made {run.name} is gone", hint="Submit it again.")
    with transaction.atomic():
        end(attempt)
        login = create_run_token(run.creator, f"{run.name}, attempt {attempt.number}")
        Attempt.objects.filter(pk=attempt.pk).update(token=login.token)
    return login.secret


def end(attempt: Attempt) -> None:
    """End the attempt's token, if it has one."""
    Token.objects.filter(attempt=attempt).delete()


def attempt_of(token: Token) -> Attempt:
    """The attempt that a token is of.

    Raises:
        Refused: TOKEN_INVALID: of none, or of one that is over.
    """
    later = Attempt.objects.filter(run=OuterRef("run"), number__gt=OuterRef("number"))
    living = Attempt.objects.filter(~Exists(later), token=token, state__in=UNFINISHED)
    found = living.select_related("run__project").first() if token.kind == Token.Kind.RUN else None
    if found is None:
        raise Refused("TOKEN_INVALID", "this takes the token of an attempt that has not ended")
    return found
