"""What a project's requirements file says, in one text, whatever files it is spread over."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench_deploy.errors import ImageError

INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=)?(?P<path>.+)")
SOURCE = re.compile(
    r"(?:-i|--index-url|--extra-index-url|-f|--find-links|--pre|--no-binary|--only-binary)\b.*"
)
LOCAL = re.compile(r"(?:-e\b|--editable\b|\.{0,2}/|\.$|\.\[|file:|[^\s@]+\s*@\s*(?:file:|\.{0,2}/))")
OURS = re.compile(
    r"bench[-_.](?:agent|auth|cli|core|data|deploy|kit|protos|server|track)(?![\w.-])", re.IGNORECASE
)
"""Distributions of ours: they are put in from what is installed here, and never looked up."""

MAX_DEPTH = 10


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a project requires.

    Args:
        packages: A requirement each, as in a requirements file.
        constraints: The same, of constraint files.
        options: Where packages are found, such as `--extra-index-url https://...`.
        ours: Lines that name a distribution of Bench: they are left out.
    """

    packages: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()


def read_requirements(folder: Path, path: str) -> Requirements:
    """Read a requirements file and those that it names.

    Args:
        folder: The project's folder; nothing outside of it is read.
        path: The file, from that folder.

    Raises:
        ImageError: A file is missing, or requires what an image cannot have.
    """
    return parse_requirements(_lines(folder.resolve(), folder / path, is_constraint=False, depth=0))


def parse_requirements(lines: Iterator[tuple[str, bool]]) -> Requirements:
    """Sort lines.

    Args:
        lines: Each with whether it is from a constraint file.

    Raises:
        ImageError: A line requires what an image cannot have.
    """
    packages: list[str] = []
    constraints: list[str] = []
    options: list[str] = []
    ours: list[str] = []
    for line, is_constraint in lines:
        if SOURCE.fullmatch(line):
            options.append(_checked_option(line))
        elif OURS.match(line):
            ours.append(line)
        elif LOCAL.match(line):
            raise ImageError(
                f"the requirements have {line!r}, and the project's code is not in its image",
                hint="List what that needs instead; the code itself runs from its own folder.",
            )
        elif line.startswith("-"):
            raise ImageError(
                f"the requirements have {line!r}, which an image cannot have", hint="Remove the line."
            )
        else:
            (constraints if is_constraint else packages).append(line)
    return Requirements(
        packages=tuple(packages), constraints=tuple(constraints), options=tuple(options), ours=tuple(ours)
    )


def _lines(folder: Path, path: Path, *, is_constraint: bool, depth: int) -> Iterator[tuple[str, bool]]:
    path = path.resolve()
    if depth > MAX_DEPTH:
        raise ImageError(f"{path} names itself", hint="Remove that line.")
    if not path.is_relative_to(folder):
        raise ImageError(f"{path} is not in the project's folder", hint="Copy it there: only that is sent.")
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ImageError(
            f"{path}: {error.strerror}", hint="[image] requirements in bench.toml names it."
        ) from error
    except UnicodeDecodeError:
        raise ImageError(f"{path} is not UTF-8", hint="Save it as UTF-8.") from None
    for line in logical_lines(text):
        if found := INCLUDE.fullmatch(line):
            inner = is_constraint or line.startswith(("-c", "--constraint"))
            yield from _lines(
                folder, path.parent / found["path"].strip(), is_constraint=inner, depth=depth + 1
            )
        else:
            yield line, is_constraint


def logical_lines(text: str) -> Iterator[str]:
    """The lines of a requirements file: continued ones joined, without comments and hashes."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line)
        line = " ".join(re.sub(r"\s--hash[=\s]\S+", "", line).split())
        if line:
            yield line


def _checked_option(line: str) -> str:
    if any(urlsplit(word).password is not None for word in re.split(r"[\s=]", line) if "://" in word):
        raise ImageError(
            "an index in the requirements has a password",
            hint="Set it in the server's environment: UV_INDEX_URL, PIP_INDEX_URL or ~/.netrc.",
        )
    return line
