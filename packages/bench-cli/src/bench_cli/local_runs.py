"""Containers of this machine."""

import tempfile
from pathlib import Path
from typing import Any

from bench_core import find_project_settings
from bench_data import DataError, dataset_info
from bench_data.folders import dataset_folder
from bench_deploy import ProjectVersions, Run, RunSpec, SubmitOptions
from bench_deploy.local import run_local
from bench_deploy.submit_run import assemble_spec

from bench_cli import cloud
from bench_cli.errors import CliError
from bench_cli.output import Output


def run_here(output: Output, **asked: Any) -> int:
    """Run the code as it is in a container of this machine.

    Args:
        output: Where the build says what it does.
        asked: As for SubmitOptions.

    Returns:
        The command's exit code.
    """
    folder, project = find_project_settings()
    spec = assemble_spec(RunSpec(bundle_digest="", command=()), project.run, SubmitOptions(**asked))
    return run_local(folder, project, spec, say=output.note)


def repeat_here(output: Output, run: Run) -> int:
    """Repeat a run in a container of this machine: its code, its lock, and its datasets if they are here.

    Args:
        output: Where the build says what it does.
        run: The run.

    Returns:
        The command's exit code.

    Raises:
        CliError: A dataset is not here, or is another version.
    """
    folder, project = find_project_settings()
    _check_datasets(run)
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        bundle = Path(made) / "bundle.zip"
        ProjectVersions(project, cloud.endpoint()).download(run.spec.bundle_digest, bundle)
        return run_local(folder, project, run.spec_to_repeat, bundle=bundle, say=output.note)


def _check_datasets(run: Run) -> None:
    for pin in run.datasets:
        try:
            found = dataset_info(dataset_folder(pin.dataset)).fingerprint
        except DataError:
            found = ""
        if found != pin.fingerprint:
            raise CliError(
                f"{run.name} has version {pin.version_number} of {pin.dataset}, which is not on this machine",
                hint=f"Fetch it: bench data pull {pin.dataset} --version {pin.version_number}",
            )
