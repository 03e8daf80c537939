"""Locks: which version of each package an image has. Made once by uv, kept by what they were made from."""

from dataclasses import dataclass
from pathlib import Path

from bench_core import atomic_write
from blake3 import blake3

from bench_deploy.errors import ImageError
from bench_deploy.image.bench_packages import OF_AGENT, OF_TRAINING, requirements_of_others
from bench_deploy.image.layers import INPUT, VENV
from bench_deploy.image.plan import ImagePlan
from bench_deploy.image.requirements import Requirements, logical_lines, parse_requirements
from bench_deploy.image.step import OUTPUT, Builder

AGENT_PROJECT = "bench"
"""Whose locks those of the agent's environment are."""


@dataclass(frozen=True, kw_only=True)
class LockInput:
    """What a lock is made from.

    Args:
        project: Whose it is: its newest earlier lock is followed where it can be.
        base_id: The base image, and so the python and the platform.
        requirements: What is asked for.
        bench: What Bench asks for in the same environment.
        uv_lock: The project's `pyproject.toml` and `uv.lock`, instead of `requirements`.
        sources: Where packages come from.
    """

    project: str
    base_id: str
    requirements: Requirements
    bench: tuple[str, ...]
    uv_lock: tuple[str, str] | None
    sources: tuple[str, ...]

    @property
    def key(self) -> str:
        """The same for the same input."""
        return blake3(repr(self).encode()).hexdigest()[:32]


class LockStore:
    """Locks on the disk: a folder for each project, a file for each input.

    Args:
        folder: It need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, asked: LockInput) -> str | None:
        """The lock that was made from this, or None."""
        path = self._path(asked)
        try:
            text = path.read_text("utf-8")
            path.touch()
        except FileNotFoundError:
            return None
        return text

    def newest(self, project: str) -> str:
        """The lock of a project that was used last; empty if there is none."""
        found = sorted((self._folder / project).glob("*.txt"), key=lambda path: path.stat().st_mtime_ns)
        return found[-1].read_text("utf-8") if found else ""

    def put(self, asked: LockInput, lock: str) -> None:
        """Keep a lock."""
        path = self._path(asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, lock.encode())

    def _path(self, asked: LockInput) -> Path:
        return self._folder / asked.project / f"{asked.key}.txt"


def training_input(plan: ImagePlan, base_id: str, sources: tuple[str, ...]) -> LockInput:
    """What the lock of the user's environment is made from."""
    return LockInput(
        project=plan.project,
        base_id=base_id,
        requirements=plan.requirements,
        bench=tuple(requirements_of_others(OF_TRAINING)),
        uv_lock=plan.uv_lock,
        sources=sources,
    )


def agent_input(base_id: str, sources: tuple[str, ...]) -> LockInput:
    """What the lock of the agent's environment is made from."""
    return LockInput(
        project=AGENT_PROJECT,
        base_id=base_id,
        requirements=Requirements(),
        bench=tuple(requirements_of_others(OF_AGENT)),
        uv_lock=None,
        sources=sources,
    )


def resolve(builder: Builder, asked: LockInput, image: str, store: LockStore) -> str:
    """The lock for an input: the one that was made from it, or a new one.

    Args:
        builder: Does the step.
        asked: The input.
        image: The image with the empty environment.
        store: Keeps locks.

    Raises:
        ImageError: There is no solution, or a package cannot be found.
        EngineError: Docker refused.
    """
    if (found := store.get(asked)) is not None:
        return found
    requirements = asked.requirements
    if asked.uv_lock is not None:
        requirements = _exported(builder, asked.uv_lock, image, asked.key)
    if requirements.ours:
        builder.tell(f"left out, as Bench puts it in itself: {', '.join(requirements.ours)}")
    files = {
        "requirements.in": _text([*requirements.options, *requirements.packages]),
        "bench.in": _text(list(asked.bench)),
        "constraints.in": _text(list(requirements.constraints)),
        "earlier.txt": store.newest(asked.project).encode(),
    }
    name = "find versions" if asked.project != AGENT_PROJECT else "find versions for the agent"
    builder.tell(name)
    lock = builder.run(name, image, COMPILE, files, key=asked.key, result="lock.txt")
    pins = [line for line in logical_lines(lock) if not line.startswith("-")]
    lock = _text([*requirements.options, *pins]).decode()
    store.put(asked, lock)
    return lock


def _exported(builder: Builder, uv_lock: tuple[str, str], image: str, key: str) -> Requirements:
    builder.tell("take the versions of uv.lock")
    files = {"pyproject.toml": uv_lock[0].encode(), "uv.lock": uv_lock[1].encode()}
    text = builder.run("read uv.lock", image, EXPORT, files, key=key, result="exported.txt")
    exported = parse_requirements((line, False) for line in logical_lines(text))
    if not exported.packages:
        raise ImageError("uv.lock has no packages", hint="Make it again: uv lock.")
    return exported


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


COMPILE = f"""
cp {INPUT}/earlier.txt {OUTPUT}/lock.txt
uv pip compile --quiet --no-header --no-annotate --python {VENV}/bin/python --output-file {OUTPUT}/lock.txt \\
    --constraints {INPUT}/constraints.in {INPUT}/requirements.in {INPUT}/bench.in
"""

EXPORT = f"""
mkdir /tmp/project
cp {INPUT}/pyproject.toml {INPUT}/uv.lock /tmp/project
cd /tmp/project
unset UV_DEFAULT_INDEX UV_INDEX UV_FIND_LINKS
uv export --quiet --frozen --no-dev --no-emit-workspace --no-hashes --no-header --no-annotate \\
    --python {VENV}/bin/python --output-file {OUTPUT}/exported.txt >/dev/null
"""
