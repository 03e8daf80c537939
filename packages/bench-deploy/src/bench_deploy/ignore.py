"""The one ignore matcher: what of a project's folder is not code. gitignore's syntax, by pathspec."""

import os
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from bench_deploy.errors import BundleError

IGNORE_FILES = (".benchignore", ".gitignore")
"""The first that is there counts; the other is not looked at (docs/decisions/0024-what-is-code.md)."""

DEFAULTS = (
    ".git",
    ".hg/",
    ".svn/",
    ".bench/",
    "__pycache__/",
    "*.py[cod]",
    "*.egg-info/",
    ".ipynb_checkpoints/",
    "node_modules/",
    ".hatch/",
    ".mypy_cache/",
    ".nox/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".idea/",
    ".vscode/",
    ".DS_Store",
)
"""Left out in every project, unless a line such as `!node_modules/` of its ignore file brings it back."""

ENVIRONMENT_MARK = "pyvenv.cfg"
"""Python puts it into every virtual environment, whatever its folder is called."""


@dataclass(frozen=True)
class IgnoreRules:
    """What is left out of a project's folder.

    Args:
        folder: The project's folder.
        source: The ignore file that counts, or None.
        spec: The rules: `DEFAULTS`, then the lines of the file.
    """

    folder: Path
    source: str | None
    spec: GitIgnoreSpec

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> "IgnoreRules":
        """The rules of a project.

        Raises:
            BundleError: The ignore file cannot be read, or a line of it is no pattern.
        """
        source = next((name for name in IGNORE_FILES if (Path(folder) / name).is_file()), None)
        lines = _read(Path(folder) / source) if source else []
        return cls(Path(folder), source, GitIgnoreSpec.from_lines([*DEFAULTS, *lines]))

    def reason(self, path: str, *, is_folder: bool) -> str | None:
        """Why a path is left out, or None if it is not.

        Its parents are not looked at: who walks does not enter a folder that is left out.

        Args:
            path: From the project's folder, with `/`.
            is_folder: Whether it is a folder; a link to one is none.
        """
        if is_folder and (self.folder / path / ENVIRONMENT_MARK).is_file():
            return "a virtual environment"
        found = self.spec.check_file(f"{path}/" if is_folder else path)
        if not found.include or found.index is None:
            return None
        if found.index < len(DEFAULTS):
            return "never code"
        return f"{self.source}, line {found.index - len(DEFAULTS) + 1}"


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BundleError(f"{path}: {why}") from None
    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError as error:
            raise BundleError(f"{path}, line {number}: {error}", hint="See `man gitignore`.") from None
    return [line or "#" for line in lines]  # pathspec drops empty ones, and its numbers would be others
