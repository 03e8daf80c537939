"""What a project's `manage.py` runs."""

import argparse
import os
import sys
from pathlib import Path

from bench_core import BenchError, find_project_settings

from bench_deploy.migrate import MigrateOptions, migrate
from bench_deploy.user_datasets import project_python


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: Of the command; those of the process unless given.
    """
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if not parsed.makemigrations:
        parser.print_help()
        return 2
    try:
        folder, project = find_project_settings(Path(sys.argv[0]).resolve().parent)
        # Who runs manage.py has chosen an interpreter, unless the project names one.
        python = project_python(folder, project) if project.python else sys.executable
        migrate(
            folder,
            MigrateOptions(
                dry_run=parsed.dry_run,
                message=parsed.message,
                python=python,
                confirm=(lambda _: True) if parsed.yes else _ask if sys.stdin.isatty() else None,
            ),
        )
    except BenchError as error:
        if os.environ.get("BENCH_DEBUG"):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _ask(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py", description="The project's commands.")
    parser.add_argument(
        "--makemigrations",
        action="store_true",
        help="bring the datasets and the code to the server, as a version of the project",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--message", default="", metavar="TEXT", help="why, for people who look at the version"
    )
    parser.add_argument("--yes", action="store_true", help="send much, or what looks like a secret, unasked")
    return parser
