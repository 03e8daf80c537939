"""`python -m bench_data.run_main ORDER`: runs the `main()` of a project's module.

bench-deploy starts it in the project's interpreter, apart from the process that does the network. ORDER is a
file of JSON:

    folder      the project's folder
    module      such as "Datasets.ProjectDatasets"
    report      a file that gets a JSON object a line: a `dataset` for each that `process_datasets` is done
                with, and at the end `done`, `missing` (a file or folder of a source is not there) or `error`,
                with the message and the user's part of the traceback
    dry_run     whether process_datasets only says what it would do
    versions    {"train": [3, "fingerprint"]}: what the server has
    lifeline    the reading end of a pipe; when it closes, this process ends
"""

import _thread
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_core import BenchError

from bench_data import process
from bench_data.cloud import CloudVersion
from bench_data.info import WriteInfo

NOT_THERE = (FileNotFoundError, NotADirectoryError)

INTERRUPTED = 130


def main(order: dict[str, Any]) -> int:
    """Run the module; the exit code."""
    # No threading.Thread, or workers would not be forked. This one holds no lock that a fork could copy.
    _thread.start_new_thread(_follow, (order["lifeline"],))
    with open(order["report"], "a", encoding="utf-8", buffering=1) as file:

        def say(event: str, **fields: Any) -> None:
            file.write(json.dumps({"event": event, **fields}) + "\n")

        def processed(name: str, info: WriteInfo) -> None:
            version = info.uploaded.version_number if info.uploaded else None
            say("dataset", name=name, version_number=version, fingerprint=info.fingerprint)

        process.listeners.append(processed)
        for name, (number, fingerprint) in order["versions"].items():
            process.known_versions[name] = CloudVersion(
                dataset=name, version_number=number, fingerprint=fingerprint, moved_bytes=0, linked_bytes=0
            )
        if order["dry_run"]:  # before the user's module takes it from there
            process.process_datasets = process.plan_datasets
        say("started")
        return _run(Path(order["folder"]), order["module"], say)


def _follow(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written: it returns when who started this is gone
    os._exit(1)


def _run(folder: Path, module: str, say: Callable[..., None]) -> int:
    sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
        if not callable(getattr(found, "main", None)):
            say("error", message="there is no function main()", hint=None, traceback="")
            return 1
        found.main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:
        if error.code not in (None, 0):
            say("error", message=f"it ended the program ({error.code})", **_details(error, folder))
            return 1
    except BaseException as error:
        event = "missing" if isinstance(error, NOT_THERE) else "error"
        say(event, message=_message(error, folder), **_details(error, folder))
        return 1
    say("done")
    return 0


def _message(error: BaseException, folder: Path) -> str:
    if isinstance(error, BenchError):
        return error.message
    lines = traceback.format_exception_only(type(error), error)
    *before, last = "".join(lines).strip().splitlines()  # of a syntax error the place comes before
    return "\n".join([last, *before]).replace(f"{folder}/", "")


def _details(error: BaseException, folder: Path) -> dict[str, Any]:
    hint = error.hint if isinstance(error, BenchError) else None
    if isinstance(error, ModuleNotFoundError):
        hint = f"Install it, and name it in requirements.txt: {sys.executable} -m pip install ..."
    return {"hint": hint, "traceback": _users_frames(error, folder)}


def _users_frames(error: BaseException, folder: Path) -> str:
    """The traceback's lines about the project's own files; all of them if none is and our code failed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if _is_inside(frame.filename, folder)]
    for frame in inside:
        frame.filename = os.path.relpath(os.path.realpath(frame.filename), folder)
    is_clear = isinstance(error, (BenchError, ImportError, SyntaxError, SystemExit))
    return "".join(traceback.format_list(inside or ([] if is_clear else frames)))


def _is_inside(name: str, folder: Path) -> bool:
    path = Path(os.path.realpath(name))
    return not name.startswith("<") and path.is_relative_to(folder) and "site-packages" not in path.parts


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
