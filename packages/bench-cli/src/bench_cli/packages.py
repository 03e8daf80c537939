"""Which packages a command may need, and how to get one that is missing."""

from importlib.util import find_spec

NEEDS = {
    "bench_agent": ("bench-data", "bench-track", "bench-agent"),
    "bench_data": ("bench-data", "bench-track", "bench-agent"),
    "bench_deploy": ("bench-data", "bench-track", "bench-agent", "bench-deploy"),
    "bench_server": ("bench-data", "bench-track", "bench-agent", "bench-deploy", "bench-server"),
}
"""The folders to install for each module, beyond what bench-cli itself needs."""

EXTRAS = {"pyarrow": "pyarrow"}
"""What to install for a module of others that one option needs."""


def how_to_install(module: str) -> str | None:
    """The command that brings a module that a command needs, or None if none does.

    No name of ours is looked up on an index (docs/decisions/0001-distributions.md).
    """
    name = module.partition(".")[0]
    if name in EXTRAS:
        return f"pip install {EXTRAS[name]}"
    folders = NEEDS.get(name)
    if folders is None:
        return None
    missing = [folder for folder in folders if find_spec(folder.replace("-", "_")) is None]
    return f"In a clone of Bench: pip install {' '.join(f'./packages/{folder}' for folder in missing)}"
