"""`python -m bench_agent`: what its arguments say. Each command imports what it needs."""

import argparse
import os
import sys
from pathlib import Path

IDLE_SECONDS = 300.0
"""The agent of a cache ends when no process was connected for so long."""


def main() -> int:
    """Do what the arguments say; the exit code."""
    parsed = _parser().parse_args()
    if parsed.command == "run":
        from bench_agent.run.entry import run

        code = run(parsed.attempt)
        sys.stderr.flush()
        os._exit(code)  # no call that is under way holds the end up
    if parsed.command == "track":
        from bench_agent.track.outside import track

        return track(parsed.folder.absolute(), project_id=parsed.project, to_the_end=parsed.to_the_end)
    from bench_agent.transfers import serve_cache, transfer

    if parsed.command == "serve":
        return serve_cache(parsed.cache, parsed.idle_seconds)
    return transfer(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench_agent", description="Does the network for a training."
    )
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push")
    pushing.add_argument("folder", type=Path)
    pushing.add_argument("--name", required=True)
    pushing.add_argument("--manifest", type=Path, help="if it is not FOLDER/dataset.json")
    pulling = commands.add_parser("pull")
    pulling.add_argument("name")
    pulling.add_argument("--into", type=Path, required=True)
    pulling.add_argument("--version", type=int, default=0)
    serving = commands.add_parser("serve")
    serving.add_argument("--cache", type=Path, required=True)
    serving.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    sending = commands.add_parser("send", help="chunks as they are written; told what on standard input")
    running = commands.add_parser("run")
    running.add_argument("attempt", type=Path)
    tracking = commands.add_parser("track", help="a run that was started elsewhere, by its folder")
    tracking.add_argument("folder", type=Path)
    tracking.add_argument("--project", default="", help="if the run was made without one")
    tracking.add_argument("--to-the-end", action="store_true", help="send what is there, and end")
    for command in (pushing, pulling, sending):
        command.add_argument("--project", required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
