"""What goes into a bundle, what does not and why: found without reading a file."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from bench_deploy.errors import BundleError
from bench_deploy.ignore import IgnoreRules

MAX_FILES, MAX_BYTES = 20_000, 1 << 29
"""Of a bundle. What has more is data, and belongs into a dataset."""

MAX_PATH_BYTES = 1024
"""From the project's folder: a list of files fits a message."""

MANY_FILES, MANY_BYTES = 1_000, 20_000_000
"""Somebody is asked before more is sent: it is seldom meant."""

SECRETS = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pypirc",
    "credentials.json",
    "kaggle.json",
)
"""Names of files that usually hold secrets."""

NOT_SECRETS = ("*.example", "*.sample", "*.template")


@dataclass(frozen=True)
class PlannedFile:
    """A file, or a link, that is to be sent.

    Args:
        path: From the project's folder, with `/`.
        size: Its bytes.
        is_executable: Whether its owner may execute it.
        target: Where it points, if it is a link.
    """

    path: str
    size: int
    is_executable: bool = False
    target: str | None = None


@dataclass(frozen=True)
class Skipped:
    """What is not sent.

    Args:
        path: From the project's folder, with `/`; folders end with one.
        reason: Why.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class BundlePlan:
    """What a bundle will have.

    Args:
        folder: The project's folder.
        files: Sorted by path.
        skipped: Sorted by path; what is in a folder that is left out is not named.
    """

    folder: Path
    files: tuple[PlannedFile, ...]
    skipped: tuple[Skipped, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def is_much(self) -> bool:
        """Whether somebody should be asked before it is sent."""
        return len(self.files) > MANY_FILES or self.size > MANY_BYTES

    @property
    def secrets(self) -> list[str]:
        """The paths whose names say that they hold secrets."""
        return [file.path for file in self.files if _is_secret(file.path)]

    @property
    def largest(self) -> list[PlannedFile]:
        """The ten largest files, the largest first."""
        return sorted(self.files, key=lambda file: (-file.size, file.path))[:10]


def plan_bundle(folder: str | os.PathLike[str]) -> BundlePlan:
    """Find what of a project's folder is its code.

    Args:
        folder: The project's folder.

    Raises:
        BundleError: It cannot be read, or has more than a bundle takes.
    """
    root = Path(folder).resolve()
    rules = IgnoreRules.of(root)
    files: list[PlannedFile] = []
    skipped: list[Skipped] = []
    for found in _walk(root, "", rules):
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            files.append(found)
    files.sort(key=lambda file: file.path)
    skipped.sort(key=lambda item: item.path)
    plan = BundlePlan(root, tuple(files), tuple(skipped))
    _check_limits(plan)
    return plan


def _walk(root: Path, below: str, rules: IgnoreRules) -> Iterator[PlannedFile | Skipped]:
    try:
        entries = list(os.scandir(root / below))
    except OSError as error:
        raise BundleError(
            f"{root / below}: {error.strerror}", hint="Make it readable, or ignore it."
        ) from error
    for entry in entries:
        path = f"{below}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if why := _unfit(path) or rules.reason(path, is_folder=is_folder):
            yield Skipped(f"{_printable(path)}/" if is_folder else _printable(path), why)
        elif is_folder:
            yield from _walk(root, f"{path}/", rules)
        else:
            yield _file(root, path, entry)


def _unfit(path: str) -> str | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if len(path.encode()) > MAX_PATH_BYTES:
        return "its path is too long"
    return "its name has a backslash" if "\\" in path else None


def _printable(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()


def _file(root: Path, path: str, entry: "os.DirEntry[str]") -> PlannedFile | Skipped:
    found = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(entry.path)
        if not stays_inside(path, target):
            return Skipped(path, f"a link that leaves the project: {_printable(target)}")
        return PlannedFile(path, len(target.encode()), target=target)
    if not stat.S_ISREG(found.st_mode):
        return Skipped(path, "neither a file, a folder nor a link")
    return PlannedFile(path, found.st_size, is_executable=bool(found.st_mode & stat.S_IXUSR))


def stays_inside(path: str, target: str) -> bool:
    """Whether a link leads to a place in the project, wherever that is unpacked.

    Args:
        path: The link's, from the project's folder.
        target: Where it points.
    """
    if not target or target.startswith("/") or "\\" in target or _unfit(target):
        return False
    depth = len(PurePosixPath(path).parts) - 1
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _is_secret(path: str) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) for pattern in SECRETS) and not any(
        fnmatchcase(name, pattern) for pattern in NOT_SECRETS
    )


def _check_limits(plan: BundlePlan) -> None:
    if len(plan.files) <= MAX_FILES and plan.size <= MAX_BYTES:
        return
    counts: Counter[str] = Counter()
    for file in plan.files:
        counts[file.path.partition("/")[0] + "/" * ("/" in file.path)] += file.size
    largest = ", ".join(f"{name} ({size / 1e6:,.1f} MB)" for name, size in counts.most_common(3))
    raise BundleError(
        f"{plan.folder} has {len(plan.files):,} files with {plan.size / 1e6:,.1f} MB, and code at most "
        f"{MAX_FILES:,} with {MAX_BYTES / 1e6:,.1f} MB; the largest: {largest}",
        hint="Name in .benchignore what is not code; data goes into a dataset.",
    )
