"""A run of the project as it lies in its folder now, or of one of its versions."""

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench_core import PROJECT_FILE, ProjectSettings, RunSettings, find_project_settings, read_project
from uuid6 import uuid7

from bench_deploy.bundle import packed
from bench_deploy.bundle_plan import plan_bundle
from bench_deploy.errors import NotMigratedError
from bench_deploy.git_state import git_state
from bench_deploy.launch import launch_command
from bench_deploy.run import Run, RunSpec
from bench_deploy.runs import ProjectRuns
from bench_deploy.send_code import Confirm, Say, SendOptions, say_on_stderr, send_code
from bench_deploy.user_datasets import FILE
from bench_deploy.versions import ProjectVersion, ProjectVersions

MIGRATE = "python manage.py --makemigrations"


@dataclass(frozen=True, kw_only=True)
class SubmitOptions:
    """A run that is asked for. What is None is as `[run]` of bench.toml says.

    Args:
        command: The program and its arguments, started as they are; empty: as bench.toml says.
        name: Unique in the project; empty: the server makes one.
        tags: To find it by.
        group: What it belongs to.
        environment: Variables, beside those of bench.toml.
        gpus: Whole GPUs.
        cpus: CPUs, such as 2.5.
        memory_bytes: Memory.
        max_hours: It is stopped after so long.
        retry: So many new attempts after an end that is not the training's own fault.
        version: The version of the project whose code and datasets are taken; None: the code of now, and the
            newest datasets that were migrated.
        endpoint: The server; unless given `$BENCH_ENDPOINT`, `bench.toml`, the last login, in that order.
        confirm: Asked before much, or what looks like a secret, is sent; None: it is refused.
        say: Takes a line about each step; unless given, it goes to standard error.
    """

    command: tuple[str, ...] = ()
    name: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None
    cpus: float | None = None
    memory_bytes: int | None = None
    max_hours: float | None = None
    retry: int | None = None
    version: int | None = None
    endpoint: str | None = None
    confirm: Confirm | None = None
    say: Say = say_on_stderr


def submit_run(folder: str | os.PathLike[str] | None = None, options: SubmitOptions | None = None) -> Run:
    """Have a project trained on its server. The datasets' code is not run.

    Args:
        folder: The project's folder, or one in it; the current one unless given.
        options: What is run, and how.

    Raises:
        ProjectFileError: There is no project, or its file says what it cannot.
        BundleError: The code cannot be packed.
        NotMigratedError: The server does not have the project's datasets.
        NotSentError: Somebody said no.
        NotFoundError: There is no such version.
        AuthError: Nobody is logged in, or the server refuses or cannot be reached.
    """
    options = options or SubmitOptions()
    place, project = find_project_settings(folder)
    options.say(f"Project {project.name}")
    versions = ProjectVersions(project, options.endpoint)
    if options.version is None:
        spec = _spec_of_now(place, project, versions, options)
    else:
        spec = _spec_of_version(project, versions, versions.get(options.version), options)
    return ProjectRuns(project, options.endpoint).submit(
        spec, run_id=str(uuid7()), name=options.name, tags=options.tags, group=options.group
    )


def submit_again(runs: ProjectRuns, run: Run, *, name: str = "") -> Run:
    """Repeat a run: the same code, datasets, command and lock.

    Args:
        runs: Of its project.
        run: The run.
        name: Of the new one; empty: the server makes one.

    Raises:
        AuthError: The server refuses, or cannot be reached.
    """
    return runs.submit(
        run.spec_to_repeat,
        run_id=str(uuid7()),
        name=name,
        tags=run.tags,
        group=run.group,
        parent_run_id=run.run_id,
    )


def assemble_spec(code: RunSpec, settings: RunSettings, options: SubmitOptions) -> RunSpec:
    """What is run: the options win over bench.toml. Pure.

    Args:
        code: The code and the datasets; the rest of it is filled in.
        settings: `[run]` of bench.toml.
        options: What was asked for.

    Raises:
        ProjectFileError: The launcher cannot start the command.
    """
    gpus = settings.gpus if options.gpus is None else options.gpus
    cpus = settings.cpus if options.cpus is None else options.cpus
    memory = settings.memory_bytes if options.memory_bytes is None else options.memory_bytes
    hours = settings.max_hours if options.max_hours is None else options.max_hours
    return replace(
        code,
        command=options.command or launch_command(settings, gpus),
        environment={**settings.environment, **options.environment},
        gpu_count=gpus,
        cpu_millis=max(round((cpus or 0) * 1000), 1 if cpus else 0),
        memory_bytes=memory or 0,
        grace_seconds=settings.grace_seconds,
        limit_seconds=max(round((hours or 0) * 3600), 1 if hours else 0),
        retry_count=settings.retry if options.retry is None else options.retry,
    )


def _spec_of_now(
    folder: Path, project: ProjectSettings, versions: ProjectVersions, options: SubmitOptions
) -> RunSpec:
    code = RunSpec(bundle_digest="", command=())
    spec = assemble_spec(code, project.run, options)  # what is wrong with it shows before anything is sent
    latest = versions.latest()
    if latest is None and (folder / FILE).is_file():
        raise NotMigratedError(
            f"{FILE} was never migrated: the server has no dataset for a run", hint=f"Migrate it: {MIGRATE}"
        )
    pins = _pins(latest, hint=f"Migrate again: {MIGRATE}") if latest else {}
    plan = plan_bundle(folder)
    with packed(plan) as bundle:
        sending = SendOptions(whole=latest is None, confirm=options.confirm, say=options.say)
        send_code(versions, plan, bundle, sending)
        git = git_state(folder)
        return replace(
            spec,
            bundle_digest=bundle.digest,
            datasets=pins,
            git_commit=git.commit,
            is_dirty=git.is_dirty,
        )


def _spec_of_version(
    project: ProjectSettings, versions: ProjectVersions, version: ProjectVersion, options: SubmitOptions
) -> RunSpec:
    code = RunSpec(
        bundle_digest=version.bundle_digest,
        datasets=_pins(version, hint="Train another version, or migrate again: bench version list"),
        command=(),
        project_version_number=version.version_number,
        git_commit=version.git_commit,
        is_dirty=version.is_dirty,
    )
    return assemble_spec(code, _settings_of(project, versions, version), options)


def _pins(version: ProjectVersion, *, hint: str) -> dict[str, int]:
    gone = [f"version {pin.version_number} of {pin.dataset}" for pin in version.datasets if pin.is_deleted]
    if gone:
        raise NotMigratedError(
            f"version {version.version_number} of the project has {', '.join(gone)}, which was deleted from"
            " the server",
            hint=hint,
        )
    return {pin.dataset: pin.version_number for pin in version.datasets}


def _settings_of(project: ProjectSettings, versions: ProjectVersions, version: ProjectVersion) -> RunSettings:
    """`[run]` as it was in a version; as it is here if that has no bench.toml."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        bundle = Path(made) / "bundle.zip"
        versions.download(version.bundle_digest, bundle)
        with zipfile.ZipFile(bundle) as archive:
            if PROJECT_FILE not in archive.namelist():
                return project.run
            archive.extract(PROJECT_FILE, made)
        return read_project(made).run
