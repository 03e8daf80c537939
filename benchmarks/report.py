"""RESULTS.md."""

from datetime import datetime, timezone

from benchmarks.contenders import CATALOGUE
from benchmarks.results import Section
from benchmarks.table import markdown_table

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


NETWORK_HEADING, RUNS_HEADING = "## Over the network", "## Runs"
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
        if line.rstrip() in (NETWORK_HEADING, RUNS_HEADING):
            at = line.rstrip()
        parts[at] = parts.get(at, "") + line
    parts[heading] = text
    ordered = [parts[name].strip() for name in ("", NETWORK_HEADING, RUNS_HEADING) if name in parts]
    return "\n\n".join(ordered) + "\n"
