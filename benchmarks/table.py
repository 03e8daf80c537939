"""The one table, for the terminal and for RESULTS.md."""

from rich.table import Table

from benchmarks.contenders import CATALOGUE
from benchmarks.results import Section, Verdict

COLUMNS = ("work", "contender", "median", "min to max", "{ours} is", "target", "reached")

Row = tuple[str, ...]


def rich_table(sections: list[Section], caption: str) -> Table:
    table = Table(caption=caption, title=f"{_ours(sections)} and the others, side by side")
    for column in _columns(sections):
        table.add_column(column, justify="left" if column in ("work", "contender") else "right")
    for section in sections:
        for row in _rows(section):
            table.add_row(*row)
        table.add_section()
    return table


def markdown_table(sections: list[Section]) -> str:
    head = [_columns(sections), ("---", "---", *("---:" for _ in COLUMNS[2:]))]
    rows = [row for section in sections for row in _rows(section)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (*head, *rows))


def _columns(sections: list[Section]) -> Row:
    return tuple(column.format(ours=_ours(sections)) for column in COLUMNS)


def _ours(sections: list[Section]) -> str:
    return " or ".join(dict.fromkeys(CATALOGUE[section.ours].title for section in sections))


def _rows(section: Section) -> list[Row]:
    """A row per contender; a target stands beside the one that set the mark, an absolute one beside us."""
    marks = {verdict.best or section.ours: verdict for verdict in section.verdicts}
    measure = section.measure
    rows: list[Row] = []
    for number, line in enumerate(section.lines):
        rows.append(
            (
                "" if number else f"{measure.title} ({measure.unit})",
                CATALOGUE[line.contender].title,
                _number(line.median),
                f"{_number(min(line.values))} to {_number(max(line.values))}",
                "" if line.contender == section.ours else f"{_number(line.times)} x",
                *_target(marks.get(line.contender), measure.more_is_better),
            )
        )
    return rows


def _target(verdict: Verdict | None, more_is_better: bool) -> tuple[str, str]:
    if verdict is None:
        return "", ""
    bound = _number(verdict.target.bound)
    sign = "≥" if more_is_better or verdict.best else "≤"
    shown = f"{sign} {bound} x" if verdict.best else f"{sign} {bound}"
    return shown, "yes" if verdict.reached else "no"


def _number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
