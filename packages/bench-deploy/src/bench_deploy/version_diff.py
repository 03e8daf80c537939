"""What changed between two versions of a project: pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench_deploy.bundle import BundleFile
from bench_deploy.versions import ProjectVersion


@dataclass(frozen=True, kw_only=True)
class DatasetChange:
    """A dataset that two versions of a project differ in.

    Args:
        dataset: Its name.
        old: The number of its version before; None if it was not pinned.
        new: The number of its version now; None if it is not pinned.
    """

    dataset: str
    old: int | None
    new: int | None


@dataclass(frozen=True, kw_only=True)
class VersionDiff:
    """What changed between two versions of a project.

    Args:
        added: Files that only the new one has, by path.
        removed: Files that only the old one has, by path.
        changed: Files whose content or kind differs: old and new, by path.
        datasets: Datasets whose version differs, by name.
    """

    added: tuple[BundleFile, ...]
    removed: tuple[BundleFile, ...]
    changed: tuple[tuple[BundleFile, BundleFile], ...]
    datasets: tuple[DatasetChange, ...]


def diff_versions(
    old: tuple[ProjectVersion, Iterable[BundleFile]], new: tuple[ProjectVersion, Iterable[BundleFile]]
) -> VersionDiff:
    """Compare two versions of a project.

    Args:
        old: A version with its files.
        new: Another one with its files.
    """
    before, after = ({file.path: file for file in files} for _, files in (old, new))
    both = sorted(before.keys() & after.keys())
    return VersionDiff(
        added=tuple(after[path] for path in sorted(after.keys() - before.keys())),
        removed=tuple(before[path] for path in sorted(before.keys() - after.keys())),
        changed=tuple((before[path], after[path]) for path in both if before[path] != after[path]),
        datasets=tuple(_dataset_changes(old[0], new[0])),
    )


def _dataset_changes(old: ProjectVersion, new: ProjectVersion) -> Iterable[DatasetChange]:
    before, after = (
        {pin.dataset: (pin.version_number, pin.fingerprint) for pin in version.datasets}
        for version in (old, new)
    )
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            numbers = [pins[name][0] if name in pins else None for pins in (before, after)]
            yield DatasetChange(dataset=name, old=numbers[0], new=numbers[1])
