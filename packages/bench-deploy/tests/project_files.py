"""Files of a project, for tests."""

from pathlib import Path


def write_files(folder: Path, *paths: str) -> None:
    """Each file's content is its own name."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"#{Path(path).stem[:3]:>5}\n")
