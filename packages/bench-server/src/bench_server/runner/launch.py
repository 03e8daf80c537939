"""What is fixed about an attempt's start: its folders, its container, its environment."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_agent.run.masking import masked
from bench_core import PROJECT_FILE, ImageSettings, read_project
from bench_deploy.engine import ContainerSpec, Limits, Mount
from bench_deploy.inside import container_user

from bench_server.datasets.blobs import the_store
from bench_server.runner import preparing
from bench_server.runner.folders import INSIDE, Places, host_places
from bench_server.runner.workshop import Built, Workshop
from bench_server.runs import attempt_tokens, secrets
from bench_server.runs.log_store import QUOTA_BYTES
from bench_server.runs.models import Attempt
from bench_server.runs.spec import RunSpec

SERVER_LABEL = "bench.server"
AGENT_PYTHON = "/opt/bench/bin/python"
"""Of the agent's own environment in an image."""


class Launch:
    """An attempt's start.

    Args:
        attempt: The attempt.
        workshop: What the runner works with.
    """

    def __init__(self, attempt: Attempt, workshop: Workshop) -> None:
        run = attempt.run
        self._attempt, self._run, self._workshop = attempt, run, workshop
        self.name = f"bench-{run.pk}-{attempt.number}"
        self.spec = RunSpec.from_json(run.spec)
        self.host = host_places(
            workshop.data, workshop.server_id, str(run.project_id), str(run.pk), attempt.number
        )
        self._seen: Places = INSIDE if workshop.is_contained else self.host
        self._user = container_user() if workshop.is_contained else (os.getuid(), os.getgid())

    @property
    def build_log(self) -> Path:
        """What making the image says."""
        return self.host.attempt_file.with_name("build.log")

    def put_code(self) -> None:
        """Make the folders, and put the code into the working directory."""
        preparing.make_folders(self.host, self._user)
        bundle = self._run.bundle
        assert bundle is not None  # only external runs have none
        preparing.put_code(the_store(), bundle.pk, bundle.blob.size_bytes, self.host, self._user)
        preparing.put_code_listing(self.host, bundle.files)

    def build(self, say: Callable[[str], None]) -> Built:
        """Make the image."""
        has_file = (self.host.work / PROJECT_FILE).is_file()
        settings = read_project(self.host.work).image if has_file else ImageSettings()
        with self._workshop.building:
            return self._workshop.builder(
                self.host.work,
                settings,
                lock=self._attempt.lock or self.spec.lock,
                project_id=str(self._run.project_id),
                gpu_count=self.spec.gpu_count,
                say=say,
            )

    def mask(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """A log without the secrets that the attempt was given; as long as before."""
        return masked(pieces, preparing.given_secrets(self.host))

    def prepare(self) -> ContainerSpec:
        """Put everything else in place; the container that is to be."""
        store = the_store()
        for pin in self._run.pins.select_related("dataset_version"):
            if pin.dataset_version is not None:
                preparing.put_dataset(store, pin.dataset, bytes(pin.dataset_version.manifest), self.host)
        given = secrets.secrets_for(self._run)
        private = preparing.PrivateThings(
            token=attempt_tokens.make(self._attempt), environment=given.environment, files=given.files
        )
        preparing.put_private(self.host, private, self._user)
        environment = preparing.training_environment(
            self._seen,
            run_id=str(self._run.pk),
            name=self._run.name,
            number=self._attempt.number,
            grace_seconds=self.spec.grace_seconds,
        )
        preparing.put_attempt_file(
            self.host,
            self._seen,
            run_id=str(self._run.pk),
            number=self._attempt.number,
            command=self.spec.command,
            environment={**environment, **self.spec.environment},
            grace_seconds=self.spec.grace_seconds,
            log_quota_bytes=QUOTA_BYTES,
        )
        return self._container()

    def _container(self) -> ContainerSpec:
        attempt, seen = self._attempt, self._seen
        python = AGENT_PYTHON if self._workshop.is_contained else sys.executable
        return ContainerSpec(
            name=self.name,
            image=attempt.image_id,
            command=[python, "-I", "-m", "bench_agent", "run", str(seen.attempt_file)],
            labels={
                SERVER_LABEL: self._workshop.server_id,
                "bench.run": str(self._run.pk),
                "bench.attempt": str(attempt.number),
            },
            environment={} if self._workshop.is_contained else {"PATH": _host_path()},
            mounts=self._mounts() if self._workshop.is_contained else [],
            work=str(seen.work),
            user=self._user,
            limits=Limits(
                cpu_millis=attempt.cpu_millis,
                memory_bytes=attempt.memory_bytes,
                shared_memory_bytes=max(attempt.memory_bytes // 2, 64 << 20),
                gpus=tuple(attempt.gpus),
            ),
        )

    def _mounts(self) -> list[Mount]:
        host, seen = self.host, self._seen
        writable = [(host.work, seen.work), (host.output, seen.output), (host.spool, seen.spool)]
        readable = [
            (host.datasets, seen.datasets),
            (host.attempt_file, seen.attempt_file),
            (host.private, seen.private),
            (host.socket, seen.socket),
        ]
        return [
            *(_mount(*pair, writable=True) for pair in [*writable, (host.cache, seen.cache)]),
            *(_mount(*pair, writable=False) for pair in readable),
        ]


def _mount(source: Path, target: Path, *, writable: bool) -> Mount:
    return Mount(source=str(source), target=str(target), writable=writable)


def _host_path() -> str:
    """The server's own environment first: its `python` is the one that people installed torch beside."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
