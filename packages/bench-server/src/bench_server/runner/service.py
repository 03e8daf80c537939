"""The runner with what this server has: its engine, as soon as there is one, and its images."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_core import ImageSettings
from bench_deploy.engine import Engine
from bench_deploy.engine.docker import DockerEngine
from bench_deploy.inside import container_user
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from bench_server.data_folder import DataFolder
from bench_server.runner.runner import Runner
from bench_server.runner.workshop import Built, Workshop
from bench_server.runs import external, transitions
from bench_server.runs.announced import announce
from bench_server.runs.engines import Missing, choose
from bench_server.runs.models import Attempt
from bench_server.runs.states import EXTERNAL

logger = logging.getLogger("bench_server.runner")

ENGINE_SECONDS = 2.0
"""Between looks for an engine while there is none."""

LOST_LOOK_SECONDS = 10.0
"""Between looks for lost runs of elsewhere."""


def serve(leave: threading.Event) -> None:
    """Run what is submitted until told to leave."""
    folder: DataFolder = settings.FOLDER
    threading.Thread(target=_look_for_lost, args=(leave,), daemon=True).start()
    engine = _engine(folder.path, leave)
    if engine is None:
        return
    contained = engine.name != "process"
    if isinstance(engine, DockerEngine) and (problem := engine.close_host()):
        logger.warning("runs can reach this machine's own servers: %s", problem)
    workshop = Workshop(
        data=folder.path,
        server_id=folder.server_id,
        engine=engine,
        builder=ImageBuilder(folder.path / "images") if contained else no_image,
        is_contained=contained,
    )
    runner = Runner(workshop, leave)
    runner.run()


def _look_for_lost(leave: threading.Event) -> None:
    """Have runs that were started elsewhere, and are not heard of, taken for lost."""
    while not leave.wait(LOST_LOOK_SECONDS):
        try:
            external.mark_lost()
        except DatabaseError:
            logger.exception("a look for lost runs failed; the next one comes")
        close_old_connections()


def _engine(data: Path, leave: threading.Event) -> Engine | None:
    """The engine, waited for; None if it is time to leave."""
    said = ""
    while not leave.is_set():
        unfinished = Attempt.objects.filter(state__in=transitions.UNFINISHED)
        unfinished = unfinished.exclude(engine__in=("", EXTERNAL))
        found = choose(data, needed=unfinished.values_list("engine", flat=True).first() or "")
        close_old_connections()
        if not isinstance(found, Missing):
            return found
        if found.message != said:
            said = found.message
            announce(data / "runs", found)
            logger.warning("no runs: %s %s", found.message, found.hint)
        leave.wait(ENGINE_SECONDS)
    return None


@dataclass(frozen=True)
class ImageBuilder:
    """Makes images on this machine's Docker.

    Args:
        state: Where locks are kept.
    """

    state: Path

    def __call__(
        self,
        folder: Path,
        image: ImageSettings,
        *,
        lock: str,
        project_id: str,
        gpu_count: int,
        say: Callable[[str], None],
    ) -> Built:
        """See Builder."""
        from bench_deploy.image import build_image

        made = build_image(
            folder,
            image,
            user=container_user(),
            state=self.state,
            lock=lock,
            project=project_id,
            gpu_count=gpu_count,
            say=say,
        )
        return Built(made.image_id, made.lock)


def no_image(
    folder: Path,
    image: ImageSettings,
    *,
    lock: str,
    project_id: str,
    gpu_count: int,
    say: Callable[[str], None],
) -> Built:
    """With the process engine the training has the server's own environment."""
    return Built("", lock)
