"""From a project's folder to code and data on the server."""

from bench_deploy.bundle import BundleFile, FileKind
from bench_deploy.bundle_plan import BundlePlan, PlannedFile, Skipped, plan_bundle
from bench_deploy.checkpoints import Checkpoint, CheckpointPlace, choose_checkpoint
from bench_deploy.errors import (
    ArtifactError,
    BundleError,
    CheckpointError,
    DeployError,
    MigrateError,
    NotMigratedError,
    NotSentError,
    ScaffoldError,
    UserCodeError,
)
from bench_deploy.migrate import Migrated, MigrateOptions, migrate
from bench_deploy.run import Attempt, Run, RunSpec, RunState
from bench_deploy.runs import Artifact, LogSlice, LogSource, ProjectRuns
from bench_deploy.scaffold import StartedProject, start_project
from bench_deploy.submit_run import SubmitOptions, submit_again, submit_run
from bench_deploy.tracks import BatchPlace, Points, ProjectTracks, Series
from bench_deploy.user_datasets import project_python
from bench_deploy.version_diff import DatasetChange, VersionDiff, diff_versions
from bench_deploy.versions import PinnedDataset, ProjectVersion, ProjectVersions

__all__ = [
    "Artifact",
    "ArtifactError",
    "Attempt",
    "BatchPlace",
    "BundleError",
    "BundleFile",
    "BundlePlan",
    "Checkpoint",
    "CheckpointError",
    "CheckpointPlace",
    "DatasetChange",
    "DeployError",
    "FileKind",
    "LogSlice",
    "LogSource",
    "MigrateError",
    "MigrateOptions",
    "Migrated",
    "NotMigratedError",
    "NotSentError",
    "PinnedDataset",
    "PlannedFile",
    "Points",
    "ProjectRuns",
    "ProjectTracks",
    "ProjectVersion",
    "ProjectVersions",
    "Run",
    "RunSpec",
    "RunState",
    "ScaffoldError",
    "Series",
    "Skipped",
    "StartedProject",
    "SubmitOptions",
    "UserCodeError",
    "VersionDiff",
    "choose_checkpoint",
    "diff_versions",
    "migrate",
    "plan_bundle",
    "project_python",
    "start_project",
    "submit_again",
    "submit_run",
]
