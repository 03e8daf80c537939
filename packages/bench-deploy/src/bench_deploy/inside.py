"""What every container of a training has, on a server and without one."""

import os
from pathlib import Path

NOBODY = 65532
"""User and group of containers where this process is root's: a number that no account has."""

INSIDE = Path("/bench")
"""Where a container has the folders that it is given."""


def container_user() -> tuple[int, int]:
    """User and group that containers have: this process's own, unless it is root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (NOBODY, NOBODY)


def cache_variables(cache: Path) -> dict[str, str]:
    """The variables by which libraries keep their caches in a folder.

    Args:
        cache: The folder, as the training sees it.
    """
    return {
        "XDG_CACHE_HOME": str(cache),
        "HF_HOME": str(cache / "huggingface"),
        "TORCH_HOME": str(cache / "torch"),
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
    }
