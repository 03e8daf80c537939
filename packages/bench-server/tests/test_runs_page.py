"""docs/runs.md has the tables of states.py as they are."""

from pathlib import Path

from bench_server.runs.page import tables

DOCS = Path(__file__).parents[3] / "docs" / "runs.md"


def test_the_page_has_the_tables() -> None:
    before, _, rest = DOCS.read_text().partition("<!-- states: ")
    made_by, _, rest = rest.partition(" -->\n")
    block, _, after = rest.partition("\n<!-- end of states -->")
    assert before
    assert after
    assert made_by == "made by `python -m bench_server.runs.page` from bench_server/runs/states.py"
    assert block == tables()
