"""Sends a project's code, after it has said what that is, and asked where somebody should be."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench_deploy.bundle import Bundle
from bench_deploy.bundle_plan import BundlePlan
from bench_deploy.describe import describe_code, describe_code_shortly, describe_doubts, describe_size
from bench_deploy.errors import NotSentError
from bench_deploy.versions import ProjectVersions

Say = Callable[[str], None]
Confirm = Callable[[str], bool]


def say_on_stderr(line: str) -> None:
    """Say a line on standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class SendOptions:
    """How code is sent.

    Args:
        dry_run: Only say what would be sent.
        whole: Whether to say it at length, for who has not seen it before.
        confirm: Asked before much, or what looks like a secret, is sent; None: it is refused.
        say: Takes a line about each step.
    """

    dry_run: bool = False
    whole: bool = False
    confirm: Confirm | None = None
    say: Say = say_on_stderr


def send_code(versions: ProjectVersions, plan: BundlePlan, bundle: Bundle, options: SendOptions) -> bool:
    """Send a bundle if the project does not have it.

    Args:
        versions: Of the project.
        plan: What the bundle has.
        bundle: The bundle.
        options: How.

    Returns:
        Whether it had to be sent, or would have to be.

    Raises:
        NotSentError: Somebody said no.
        AuthError: The server refuses, or is away for too long.
    """
    if versions.has_bundle(bundle.digest):
        options.say(f"  {len(plan.files):,} files, {describe_size(plan.size)}: the server has them")
        return False
    is_whole = options.whole or options.dry_run or describe_doubts(plan) is not None
    for line in describe_code(plan) if is_whole else describe_code_shortly(plan):
        options.say(line)
    if not options.dry_run:
        _ask(plan, options.confirm)
        versions.upload(bundle)
        options.say(f"  sent {describe_size(bundle.size)}")
    return True


def _ask(plan: BundlePlan, confirm: Confirm | None) -> None:
    doubts = describe_doubts(plan)
    if doubts is None or (confirm and confirm(f"{doubts}. Send them?")):
        return
    raise NotSentError(
        f"not sent: {doubts}",
        hint="Name in .benchignore what is not to be sent, or say yes with --yes.",
    )
