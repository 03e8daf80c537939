"""From raw figures to what the table and the chart show."""

from dataclasses import dataclass
from statistics import median

from benchmarks.jobs import Job, Measure, Target
from benchmarks.measuring import Raw


@dataclass(frozen=True)
class Line:
    """A contender's values of one measure.

    Args:
        contender: Its name in the catalogue.
        values: One per round.
        times: How many times better our median is than this one's; 0 for ours.
    """

    contender: str
    values: tuple[float, ...]
    times: float = 0

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True)
class Verdict:
    """A target, and what there is: a multiple of `against`'s best, or the absolute value.

    Args:
        target: What was to be reached.
        best: The contender that set the mark; empty for an absolute bound.
        value: What was measured.
        reached: Whether that will do.
    """

    target: Target
    best: str
    value: float
    reached: bool


@dataclass(frozen=True)
class Section:
    """A measure of one of ours, with its lines and verdicts."""

    ours: str
    measure: Measure
    lines: tuple[Line, ...]
    verdicts: tuple[Verdict, ...]


def sections(jobs: tuple[Job, ...], raw: Raw) -> list[Section]:
    return [_section(job.ours, measure, raw[job.key]) for job in jobs for measure in job.measures]


def _section(name_of_ours: str, measure: Measure, runs: "dict[str, list[dict[str, float]]]") -> Section:
    values = {
        name: tuple(figures[measure.figure] for figures in rounds)
        for name, rounds in runs.items()
        if measure.figure in rounds[0]
    }
    ours = median(values[name_of_ours])
    lines = tuple(
        Line(name, own, 0 if name == name_of_ours else _times(measure, ours, median(own)))
        for name, own in values.items()
    )
    medians = {line.contender: line.median for line in lines}
    verdicts = tuple(_verdict(measure, target, medians, ours) for target in measure.targets)
    return Section(name_of_ours, measure, lines, verdicts)


def _verdict(measure: Measure, target: Target, medians: dict[str, float], ours: float) -> Verdict:
    if not target.against:
        reached = ours >= target.bound if measure.more_is_better else ours <= target.bound
        return Verdict(target, "", ours, reached)
    choose = max if measure.more_is_better else min
    best = choose(target.against, key=lambda name: medians[name])
    times = _times(measure, ours, medians[best])
    return Verdict(target, best, times, times >= target.bound)


def _times(measure: Measure, ours: float, theirs: float) -> float:
    """How many times better ours is."""
    better, worse = (ours, theirs) if measure.more_is_better else (theirs, ours)
    return better / worse if worse else float("inf")
