"""From a project's folder to code and data on the server."""

from bench_deploy.bundle import BundleFile, FileKind
from bench_deploy.bundle_plan import BundlePlan, PlannedFile, Skipped, plan_bundle
from bench_deploy.errors import BundleError, DeployError, MigrateError, ScaffoldError, UserCodeError
from bench_deploy.migrate import Migrated, MigrateOptions, migrate
from bench_deploy.scaffold import StartedProject, start_project
from bench_deploy.user_datasets import project_python
from bench_deploy.version_diff import DatasetChange, VersionDiff, diff_versions
from bench_deploy.versions import PinnedDataset, ProjectVersion, ProjectVersions

__all__ = [
    "BundleError",
    "BundleFile",
    "BundlePlan",
    "DatasetChange",
    "DeployError",
    "FileKind",
    "MigrateError",
    "MigrateOptions",
    "Migrated",
    "PinnedDataset",
    "PlannedFile",
    "ProjectVersion",
    "ProjectVersions",
    "ScaffoldError",
    "Skipped",
    "StartedProject",
    "UserCodeError",
    "VersionDiff",
    "diff_versions",
    "migrate",
    "plan_bundle",
    "project_python",
    "start_project",
]
