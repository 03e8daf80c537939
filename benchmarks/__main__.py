"""`python -m benchmarks`: measure, show the table, write the results."""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks import jobs, machine
from benchmarks.chart import draw
from benchmarks.child import MeasurementError
from benchmarks.measuring import Measuring
from benchmarks.network_jobs import NETWORK_GROUPS, NETWORK_JOBS
from benchmarks.report import results_page, with_network, with_runs, with_tracks
from benchmarks.results import sections
from benchmarks.runs_ground import marked_docker
from benchmarks.runs_jobs import RUN_GROUPS, RUN_JOBS
from benchmarks.table import rich_table
from benchmarks.track_jobs import TRACK_GROUPS, TRACK_JOBS

CACHE_VARIABLE = "BENCH_BENCHMARKS_CACHE"
HERE = Path(__file__).parent
WHOLES = {
    "results": (jobs.JOBS, results_page),
    "network": (NETWORK_JOBS, with_network),
    "runs": (RUN_JOBS, with_runs),
    "tracks": (TRACK_JOBS, with_tracks),
}
"""By the name of their files: jobs that are shown together, and what brings them into RESULTS.md."""

SETS = {"network": NETWORK_GROUPS, "runs": RUN_GROUPS, "tracks": TRACK_GROUPS}
PARTIAL = HERE.parent / ".bench" / "benchmarks"
"""For the results of runs that are scaled or not whole; git ignores it."""


def main() -> int:
    arguments = _arguments()
    selected = tuple(
        job for job in (*jobs.JOBS, *NETWORK_JOBS, *RUN_JOBS, *TRACK_JOBS) if job.group in arguments.only
    )
    with ExitStack() as stack:
        cache = arguments.cache or _temporary(stack)
        described = machine.describe(cache)
        if any(job in RUN_JOBS for job in selected):
            stack.enter_context(marked_docker())
        try:
            raw = Measuring(cache, arguments.scale, arguments.repeats, _say).run(selected)
        except MeasurementError as error:
            _say(f"Error: {error}")
            return 1
    measured = sections(selected, raw)
    caption = _caption(arguments.scale, arguments.repeats, described)
    Console(width=None if sys.stdout.isatty() else 160).print(rich_table(measured, caption))
    name = next(name for name, (whole, _) in WHOLES.items() if selected[0] in whole)
    whole, write = WHOLES[name]
    is_whole = arguments.scale == 1 and selected == whole
    out = HERE if is_whole else PARTIAL
    out.mkdir(parents=True, exist_ok=True)
    document = {"scale": arguments.scale, "rounds": arguments.repeats, "machine": described, "figures": raw}
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(measured, caption, out / f"{name}.png")
    if is_whole:
        page, text = out / "RESULTS.md", (out / "RESULTS.md").read_text()
        page.write_text(write(text, measured, arguments.repeats, described))
    _say(f"written to {out}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of samples (1)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="times each work is done (5)")
    parser.add_argument(
        "--only",
        type=_groups,
        default=jobs.GROUPS,
        metavar="A,B",
        help=f"{', '.join(jobs.GROUPS)}; with a server: network, or {', '.join(NETWORK_GROUPS)}; "
        f"tracks, or {', '.join(TRACK_GROUPS)}; with Docker: runs, or {', '.join(RUN_GROUPS)}",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=os.environ.get(CACHE_VARIABLE),
        help=f"folder for the data, on the disk to measure; kept (${CACHE_VARIABLE}, else a temporary one)",
    )
    return parser.parse_args()


def _temporary(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))


def _groups(text: str) -> tuple[str, ...]:
    if text in SETS:
        return SETS[text]
    groups, known = tuple(text.split(",")), (*jobs.GROUPS, *NETWORK_GROUPS, *RUN_GROUPS, *TRACK_GROUPS)
    for group in groups:
        if group not in known:
            raise argparse.ArgumentTypeError(f"{group!r} is none of {', '.join(known)}")
    return groups


def _caption(scale: float, repeats: int, described: dict[str, str]) -> str:
    scaled = "" if scale == 1 else f"SCALED: {scale:g} of the samples, not comparable. "
    machine_text = f"{described['CPU']}, {described['memory']}, {described['file system']}"
    return f"{scaled}Medians of {repeats} rounds, whiskers from min to max. {machine_text}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
