"""The server's own rpc for attempts, with attempts that no runner takes: `python log_server.py FOLDER QUOTA`.

A process of its own, so that it can be killed. Told by lines on its standard input, it answers in JSON lines.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until killed, or until nobody asks any more."""
    folder, quota = Path(sys.argv[1]), int(sys.argv[2])
    from bench_server.data_folder import open_folder

    open_folder(folder, create=True)
    os.environ["BENCH_SERVER_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench_server.settings"
    import django

    django.setup()
    from bench_server.database import migrate
    from bench_server.rpc.serving import AttemptsServer
    from bench_server.runs import log_store

    migrate(open_folder(folder))
    log_store.QUOTA_BYTES = quota  # the server's own takes minutes to fill
    log_store.append.__kwdefaults__ = {"quota": quota}
    serving = AttemptsServer(open_folder(folder))
    print(json.dumps({"socket": str(open_folder(folder).attempts_socket)}), flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        print(json.dumps(_ANSWERS[word](*rest)), flush=True)
    serving.stop()


def _new() -> dict[str, str]:
    from bench_server.projects.models import Project
    from bench_server.runs import attempt_tokens, log_store
    from run_tools import new_run
    from server_tools import new_project, new_user

    project = Project.objects.first() or new_project(new_user())
    attempt = new_run(project).attempts.get()
    token = attempt_tokens.make(attempt)
    return {"token": token, "attempt": str(attempt.pk), "log": str(log_store.path_of(attempt))}


def _end(attempt: str) -> None:
    from bench_server.runs import attempt_tokens
    from bench_server.runs.models import Attempt

    attempt_tokens.end(Attempt.objects.get(pk=attempt))


def _was_heard(attempt: str) -> bool:
    from bench_server.runs.models import Attempt

    return Attempt.objects.get(pk=attempt).last_contact_time is not None


def _points(attempt: str) -> dict[str, list[float]]:
    """The values of each series of the attempt."""
    from bench_server.runs.models import Attempt
    from bench_server.tracks import charts

    found: dict[str, list[float]] = {}
    for series in charts.lines_of(Attempt.objects.get(pk=attempt).run):
        for points in charts.points_in(series):
            found.setdefault(series.name, []).extend(points["value"].tolist())
    return found


_ANSWERS: dict[str, Callable[..., Any]] = {
    "new": _new,
    "end": _end,
    "was_heard": _was_heard,
    "points": _points,
}


if __name__ == "__main__":
    main()
