"""What a migration says about the code, for people: pure."""

from collections.abc import Iterator

from bench_deploy.bundle_plan import BundlePlan
from bench_deploy.versions import ProjectVersion

SHOWN = 10
"""Lines of a list before it is cut."""


def describe_size(count: int) -> str:
    """Bytes, as people write them."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def describe_code(plan: BundlePlan) -> Iterator[str]:
    """What is sent, what is not and why, and the largest files."""
    yield f"  sends {len(plan.files):,} files, {describe_size(plan.size)}; the largest:"
    yield from (f"    {describe_size(file.size):>10}  {file.path}" for file in plan.largest)
    if plan.skipped:
        yield "  does not send:"
        yield from (f"    {skipped.path} ({skipped.reason})" for skipped in plan.skipped[:SHOWN])
    if len(plan.skipped) > SHOWN:
        yield f"    ... and {len(plan.skipped) - SHOWN:,} more"


def describe_code_shortly(plan: BundlePlan) -> Iterator[str]:
    """The same in a line or two, for who has seen it before."""
    yield f"  sends {len(plan.files):,} files, {describe_size(plan.size)}"
    if plan.skipped:
        more = ", ..." if len(plan.skipped) > SHOWN else ""
        yield f"  does not send {', '.join(skipped.path for skipped in plan.skipped[:SHOWN])}{more}"


def describe_doubts(plan: BundlePlan) -> str | None:
    """Why somebody should be asked before the code is sent, or None if nobody need be."""
    doubts = []
    if plan.is_much:
        doubts.append(f"{len(plan.files):,} files, {describe_size(plan.size)}, are much for code")
    if secrets := plan.secrets:
        more = f" and {len(secrets) - SHOWN:,} more" if len(secrets) > SHOWN else ""
        alike = "looks like a secret" if len(secrets) == 1 else "look like secrets"
        doubts.append(f"{', '.join(secrets[:SHOWN])}{more} {alike}")
    return "; ".join(doubts) or None


def describe_end(version: ProjectVersion, *, existed: bool) -> str:
    """What a migration has led to."""
    if existed:
        return f"Nothing changed: version {version.version_number} is the latest."
    pins = ", ".join(f"{pin.dataset} version {pin.version_number}" for pin in version.datasets)
    what = f"{version.file_count:,} files of code, {pins or 'no datasets'}"
    return f"Version {version.version_number}: {what}."
