"""Runs the jobs, in rounds over the contenders: what the machine does meanwhile meets all of them alike."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.child import MeasurementError, measure
from benchmarks.jobs import Job
from benchmarks.works import Figures

Raw = dict[str, dict[str, list[Figures]]]
"""Job, contender, one entry per round."""


class Measuring:
    """A run of some jobs.

    Args:
        cache: The folder that keeps the source data; what is written goes below it too, on the same disk.
        scale: Of the number of samples.
        rounds: How often each contender does each work.
        say: Told of each measurement.
    """

    def __init__(self, cache: Path, scale: float, rounds: int, say: Callable[[str], None]) -> None:
        self._cache = cache
        self._scale = scale
        self._rounds = rounds
        self._say = say
        self._work = cache / "work"

    def run(self, jobs: Sequence[Job]) -> Raw:
        """Measure all jobs.

        Raises:
            MeasurementError: A contender failed, or did not read what the others read.
        """
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        try:
            return {job.key: self._run_job(job) for job in jobs}
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def _run_job(self, job: Job) -> dict[str, list[Figures]]:
        source = job.make(self._cache, max(1, round(job.samples * self._scale)))
        runs: dict[str, list[Figures]] = {name: [] for name in job.contenders}
        for number in range(self._rounds):
            for name, figures in self._round(job, source):
                runs[name].append(figures)
                shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
                self._say(f"{job.key}, round {number + 1} of {self._rounds}, {name}: {shown}")
        _compare_checks(job, runs)
        return runs

    def _round(self, job: Job, source: Path) -> Iterator[tuple[str, Figures]]:
        if not job.is_paired:
            for name in job.contenders:
                yield name, self._measure(job, name, source)
            return
        paired = self._measure(job, job.ours, source)
        for name in job.contenders:
            own = f"{name}."
            yield name, {key[len(own) :]: value for key, value in paired.items() if key.startswith(own)}

    def _measure(self, job: Job, name: str, source: Path) -> Figures:
        if job.needs:
            return measure(job.work, name, source, self._prepared(job.needs, name, source), self._work)
        out = self._work / "written"
        try:
            return measure(job.work, name, source, out, self._work)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _prepared(self, work: str, name: str, source: Path) -> Path:
        """What `name` makes of `source`, made once a run; the plain files stay where they are."""
        out = self._work / "prepared" / source.name / name
        if name != "plain_files" and not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            measure(work, name, source, out, self._work)
        return out


def _compare_checks(job: Job, runs: dict[str, list[Figures]]) -> None:
    checks = {figures["check"] for rounds in runs.values() for figures in rounds if "check" in figures}
    if len(checks) > 1:
        raise MeasurementError(f"{job.key}: the contenders did not read the same samples: {checks}")
