"""What `./run bench` is told to measure is there, and a measurement changes its own part of the page only."""

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.contenders import CATALOGUE
from benchmarks.jobs import JOBS, Job
from benchmarks.network_jobs import NETWORK_JOBS
from benchmarks.results import Section, sections
from benchmarks.runs_jobs import RUN_JOBS
from benchmarks.track_jobs import TRACK_JOBS
from benchmarks.works import WORKS

ALL = JOBS + NETWORK_JOBS + RUN_JOBS + TRACK_JOBS
MACHINE = {"kernel": "Linux", "CPU": "a CPU", "memory": "1 GiB", "load before": "0.0"}
WRITERS = {
    report.NETWORK_HEADING: (report.with_network, NETWORK_JOBS),
    report.RUNS_HEADING: (report.with_runs, RUN_JOBS),
    report.TRACKS_HEADING: (report.with_tracks, TRACK_JOBS),
}


def measured(jobs: tuple[Job, ...], value: float) -> list[Section]:
    raw = {
        job.key: {name: [{one.figure: value for one in job.measures}] for name in job.contenders}
        for job in jobs
    }
    return sections(jobs, raw)


@pytest.mark.parametrize("job", ALL, ids=lambda job: job.key)
def test_a_job_names_what_there_is(job: Job) -> None:
    assert job.work in WORKS
    assert not job.needs or job.needs in WORKS
    assert set(job.contenders) <= set(CATALOGUE)
    assert job.ours in job.contenders
    for measure in job.measures:
        for target in measure.targets:
            assert set(target.against) <= set(job.contenders)


def test_no_two_are_called_alike() -> None:
    keys = [job.key for job in ALL]
    assert len(keys) == len(set(keys))
    groups = [{job.group for job in jobs} for jobs in (JOBS, NETWORK_JOBS, RUN_JOBS, TRACK_JOBS)]
    assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.mark.parametrize("heading", WRITERS)
def test_a_measurement_changes_its_own_part_of_the_page(heading: str) -> None:
    page = (Path(report.__file__).parent / "RESULTS.md").read_text()
    write, jobs = WRITERS[heading]
    for other, (write_other, other_jobs) in WRITERS.items():
        if other not in page:
            page = write_other(page, measured(other_jobs, 1.0), 1, MACHINE)
    changed = write(page, measured(jobs, 12345.0), 3, MACHINE)
    before, after = _parts(page), _parts(changed)
    assert "12,345" in after.pop(heading)
    del before[heading]
    assert after == before
    assert list(_parts(changed)) == list(_parts(page))


def _parts(page: str) -> dict[str, str]:
    parts = {"": ""}
    for line in page.splitlines(keepends=True):
        if line.startswith("## "):
            parts[line.strip()] = ""
        parts[list(parts)[-1]] += line
    return {name: text.strip() for name, text in parts.items()}
