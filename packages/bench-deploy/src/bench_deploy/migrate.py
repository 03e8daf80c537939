"""A migration: the user's datasets and code become a version of the project on the server."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench_core import ProjectSettings, find_project_settings

from bench_deploy.bundle import Bundle, packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.describe import describe_end
from bench_deploy.errors import UserCodeError
from bench_deploy.git_state import git_state
from bench_deploy.send_code import Confirm, Say, SendOptions, say_on_stderr, send_code
from bench_deploy.user_datasets import FILE, ProcessedDatasets, process_user_datasets, project_python
from bench_deploy.versions import ProjectVersion, ProjectVersions


@dataclass(frozen=True, kw_only=True)
class MigrateOptions:
    """How a project is migrated.

    Args:
        dry_run: Only say what would be done.
        message: Why, for people who look at the version.
        endpoint: The server; unless given `$BENCH_ENDPOINT`, `bench.toml`, the last login, in that order.
        python: The interpreter of the project's code; unless given, see `project_python`.
        confirm: Asked before much, or what looks like a secret, is sent; None: it is refused.
        say: Takes a line about each step; unless given, it goes to standard error.
    """

    dry_run: bool = False
    message: str = ""
    endpoint: str | None = None
    python: str | None = None
    confirm: Confirm | None = None
    say: Say = say_on_stderr


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What a migration did.

    Args:
        version: The version of the project now; None after a dry run of a project that has none.
        existed: Whether nothing had changed.
        sent_bytes: The bundle, if it had to be sent.
        kept: Datasets whose source is not on this machine: the version that was pinned before stays.
    """

    version: ProjectVersion | None
    existed: bool
    sent_bytes: int
    kept: tuple[str, ...]


def migrate(folder: str | os.PathLike[str] | None = None, options: MigrateOptions | None = None) -> Migrated:
    """Bring a project's datasets and code to its server, and make a version of it that pins both.

    The same call after an interruption goes on from there. If nothing changed, nothing is made.

    Args:
        folder: The project's folder, or one in it; the current one unless given.
        options: How.

    Raises:
        ProjectFileError: There is no project, or its file says what it cannot.
        UserCodeError: The user's own code failed.
        BundleError: The code cannot be packed.
        NotSentError: Somebody said no.
        MigrateError: Another step failed.
        AuthError: Nobody is logged in, or the server refuses or cannot be reached.
    """
    place, project = find_project_settings(folder)
    return _Migration(place, project, options or MigrateOptions()).run()


class _Migration:
    """One call of `migrate`."""

    def __init__(self, folder: Path, project: ProjectSettings, options: MigrateOptions) -> None:
        self._folder, self._project, self._options = folder, project, options
        self._say = options.say
        self._versions = ProjectVersions(project, options.endpoint)

    def run(self) -> Migrated:
        """Take the steps."""
        self._say(f"Project {self._project.name}")
        plan_bundle(self._folder)  # what is wrong with the code shows before the datasets take their time
        latest = self._versions.latest()
        self._say("1. Datasets")
        processed = self._process(latest)
        kept = self._kept(processed, latest)
        self._say("2. Code")
        plan = plan_bundle(self._folder)  # anew: the user's code has run
        with packed(plan) as bundle:
            sent = send_code(
                self._versions,
                plan,
                bundle,
                SendOptions(
                    dry_run=self._options.dry_run,
                    whole=latest is None,
                    confirm=self._options.confirm,
                    say=self._say,
                ),
            )
            self._say("3. Version")
            if self._options.dry_run:
                return self._dry_end(latest, bundle, processed, kept)
            return self._create(bundle, {**_numbers(processed), **kept}, sent, tuple(kept))

    def _process(self, latest: ProjectVersion | None) -> ProcessedDatasets:
        if not (self._folder / FILE).is_file():
            self._say(f"  there is no {FILE}")
            return ProcessedDatasets()
        return process_user_datasets(
            self._folder,
            self._project,
            latest,
            python=self._options.python or project_python(self._folder, self._project),
            endpoint=self._versions.endpoint,
            dry_run=self._options.dry_run,
        )

    def _kept(self, processed: ProcessedDatasets, latest: ProjectVersion | None) -> dict[str, int]:
        """The pins of the latest version that this migration takes over."""
        pins = latest.datasets if latest else ()
        kept = {
            pin.dataset: pin.version_number
            for pin in pins
            if pin.dataset not in processed.versions and not pin.is_deleted
        }
        if processed.missing and not kept:
            raise UserCodeError(
                processed.missing, hint="Mend the path, or migrate where the data is: nobody has done so yet."
            )
        if processed.missing:
            self._say("\n".join(f"  {line}" for line in processed.missing.splitlines()))
        for name, number in kept.items():
            self._say(f"  {name}: not made here; version {number} stays")
        return kept

    def _create(
        self, bundle: Bundle, datasets: dict[str, int], sent: bool, kept: tuple[str, ...]
    ) -> Migrated:
        git = git_state(self._folder)
        version, existed = self._versions.create(bundle.digest, datasets, git, self._options.message)
        self._say(f"  {describe_end(version, existed=existed)}")
        return Migrated(version=version, existed=existed, sent_bytes=bundle.size if sent else 0, kept=kept)

    def _dry_end(
        self,
        latest: ProjectVersion | None,
        bundle: Bundle,
        processed: ProcessedDatasets,
        kept: dict[str, int],
    ) -> Migrated:
        pinned = {pin.dataset: pin.fingerprint for pin in latest.datasets} if latest else {}
        now = {**processed.fingerprints, **{name: pinned[name] for name in kept}}
        is_same = latest is not None and latest.bundle_digest == bundle.digest and now == pinned
        number = latest.version_number if latest else 0
        would = f"version {number} would stay" if is_same else f"would make version {number + 1}"
        self._say(f"  {would}; this was a dry run: nothing was changed")
        return Migrated(version=latest, existed=is_same, sent_bytes=0, kept=tuple(kept))


def _numbers(processed: ProcessedDatasets) -> dict[str, int]:
    return {name: number for name, number in processed.versions.items() if number is not None}
