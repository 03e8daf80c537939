"""The code of the README runs as it stands."""

import re
from pathlib import Path

import pytest
from spool_reading import media, notes, points


def test_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TRACK", str(tmp_path))
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    for block in re.findall("```python\n(.*?)```", readme, re.DOTALL):
        exec(block, {})
    assert len(points(tmp_path)) == 100
    assert [record.step for record in media(tmp_path)] == [100, 100]
    assert notes(tmp_path, "summary") == [{"values": {"best": 0.01}}]
