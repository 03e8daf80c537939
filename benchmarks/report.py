"""RESULTS.md."""

from datetime import datetime, timezone

from benchmarks.contenders import CATALOGUE
from benchmarks.results import Section
from benchmarks.table import markdown_table
from benchmarks.track_works import BLOCK_IMAGES, BLOCK_PAIRS, CHECKPOINT_PAIRS

TEXT = """# Speed, measured side by side

Measured on {date} by `./run bench` with {rounds} rounds; the raw figures are in [results.json](results.json).

![Bars of the medians](results.png)

{table}

"bench-data is" says how many times better its median is than that line's. A target that is a multiple
stands beside the contender that sets the mark: the best of WebDataset, MDS and LitData; or tar; or the
plain files. [LIMITS.md](LIMITS.md) says what stands in the way of the targets that were not reached.

## How

- In each round every contender does the work once, in turn, each time in a fresh process. Imports are not
  timed, and the page cache is warm for whatever is read. All else that a contender does for the work is
  timed: starting processes, opening, indexes, closing. When the timing of a write starts, the disk has
  nothing left to write.
- "Until they are on the disk" is bench-data's default; the others are followed by `sync`.
- The files are random bytes between the head and tail of a JPEG, of log-normally spread sizes, in 100 class
  folders. Nothing decodes them.
- In an epoch a worker reads each sample's bytes, sums every 4,096th, and returns that and the label, in
  batches of 64. The sums of all contenders agree. "Through a path" it opens and reads a file: the plain
  files their own, bench-data a `ChunkFile`; for the peers, which give bytes only, a temporary file is
  written first.
- Shuffles differ. Those of bench-data, the plain files and ArrayRecord are exact, MDS's nearly so;
  WebDataset's has a buffer of 1,000 samples; LitData's stays inside a chunk.

| contender | settings |
| --- | --- |
{settings}

## Machine

| | |
| --- | --- |
{machine_rows}
"""


NETWORK_HEADING, RUNS_HEADING, TRACKS_HEADING = "## Over the network", "## Runs", "## Tracks"
PARTS = NETWORK_HEADING, RUNS_HEADING, TRACKS_HEADING
"""Behind the first one, in this order."""

NETWORK_TEXT = """## Over the network

Measured on {date} by `./run bench --only network` with {rounds} rounds, every server on the same machine; the
raw figures are in [network.json](network.json). The data are 2 GB in files of 68 KB, written as a dataset.

![Bars of the medians](network.png)

{table}

- A transfer is timed from the client's call to its end, in a process that has its imports behind it. Ours
  makes the bytes durable and checks every digest; the bare stream and `cp` do neither, but the bare stream's
  receiver hashes.
- bench-data streams from bench-server over the Unix socket, the others from `rclone serve s3` of the folder
  that they wrote, LitData with `batch_decode='all'`. Shuffles differ as in local epochs.
- A share is measured in one process: a download, the streamed epoch, then three local and three cached ones.
- {kernel}, {cpu}, {memory}.
"""

RUNS_TEXT = """## Runs

Measured on {date} by `./run bench --only runs` with {rounds} rounds, server, Docker and follower on one
machine; the raw figures are in [runs.json](runs.json).

{table}

- In each round, pairs take turns: each is first as often as last. A round's value is the median of its
  pairs, and what is over, that of their differences. A first build is one pair.
- The first build: base image and torch's wheel in it are here, and nothing else; both sides find versions,
  download, install and compile by the same scripts. It includes the environment of the agent.
- A start is timed from the command `bench run --follow` (or `docker run`) to the line of the script behind
  its `import torch`. The code goes up anew each time.
- The age of a line is the difference of the clock when it was written and when it was read from a
  pseudo-terminal that `bench run --follow` writes to, from the first line of the run on.
- The 1 GB comes as fast as a script can format it, and every byte is compared, on the server's disk and
  behind the follower, which writes to a pipe.
- A step by hand runs on this machine, outside of any container, with the files of the image's packages.
- {kernel}, {cpu}, {memory}; the load average was {load} before.
"""

TRACKS_TEXT = """## Tracks

Measured on {date} by `./run bench --only tracks` with {rounds} rounds, training, agent and server on one
machine; the raw figures are in [tracks.json](tracks.json).

{table}

- A process logs 5 scalars 200 times a second, which are 1,000 points/s, and computes between the calls; who
  takes longer than that logs as fast as it can. The first 100 calls are not counted. Then come 500 with
  nothing between them: what a call needs is in the CPU's caches there, as in a loop that measures only that.
  Afterwards every value is looked for where it was to go. Without `synchronous=False`, MLflow's calls return
  when its server has the values; bench-track's when a file has them.
- A spool is sent by `bench_track.sync`, from the start of the agent until the server has said that it has
  all of it. The points are in the tables by then, and in the pyramid that charts are drawn from.
- Steps that log and steps that do not take turns in one process, in {block_pairs} pairs of blocks of
  {block_images} images, each first as often as last; what is over is the median over the pairs. The step has
  one of two cores.
- A chart's time is that of the request over HTTP, to the last byte. The chart of all points has to show a
  single one that is larger than the rest.
- A checkpoint's step begins with the call, and does its own work while the checkpoint is being written; what
  is shown is what it takes longer than other steps, the median of {checkpoint_pairs} pairs. A bare copy
  stands in the same place.
- {kernel}, {cpu}, {memory}; the load average was {load} before.
"""


def results_page(before: str, sections: list[Section], rounds: int, machine: dict[str, str]) -> str:
    """The page with new local figures; the other parts stay."""
    settings = "\n".join(f"| {entry.title} | {entry.settings} |" for entry in CATALOGUE.values())
    text = _filled(
        TEXT,
        sections,
        rounds,
        machine,
        settings=settings,
        machine_rows="\n".join(f"| {name} | {value} |" for name, value in machine.items()),
    )
    return _with_part(before, "", text)


def with_network(before: str, sections: list[Section], rounds: int, machine: dict[str, str]) -> str:
    """The page with new figures of the network."""
    return _with_part(before, NETWORK_HEADING, _filled(NETWORK_TEXT, sections, rounds, machine))


def with_runs(before: str, sections: list[Section], rounds: int, machine: dict[str, str]) -> str:
    """The page with new figures of runs."""
    return _with_part(before, RUNS_HEADING, _filled(RUNS_TEXT, sections, rounds, machine))


def with_tracks(before: str, sections: list[Section], rounds: int, machine: dict[str, str]) -> str:
    """The page with new figures of tracks."""
    pairs = {
        "block_pairs": str(BLOCK_PAIRS),
        "block_images": f"{BLOCK_IMAGES:,}",
        "checkpoint_pairs": str(CHECKPOINT_PAIRS),
    }
    return _with_part(before, TRACKS_HEADING, _filled(TRACKS_TEXT, sections, rounds, machine, **pairs))


def _filled(text: str, sections: list[Section], rounds: int, machine: dict[str, str], **more: str) -> str:
    return text.format(
        date=f"{datetime.now(timezone.utc):%Y-%m-%d}",
        rounds=rounds,
        table=markdown_table(sections),
        kernel=machine["kernel"],
        cpu=machine["CPU"],
        memory=machine["memory"],
        load=machine["load before"],
        **more,
    )


def _with_part(page: str, heading: str, text: str) -> str:
    """A page, one of whose parts is replaced: that behind a heading, or the first one."""
    parts = {"": ""}
    at = ""
    for line in page.splitlines(keepends=True):
        if line.rstrip() in PARTS:
            at = line.rstrip()
        parts[at] = parts.get(at, "") + line
    parts[heading] = text
    ordered = [parts[name].strip() for name in ("", *PARTS) if name in parts]
    return "\n\n".join(ordered) + "\n"
