"""Which CUDA a lock's packages are made for, and which drivers can run that. Pure."""

import re

CUDA_PACKAGES = re.compile(r"(?:nvidia-cuda-runtime(?:-cu\d+)?|cuda-toolkit)(?:\[[^\]]*\])?==(\d+)\.")
"""torch pins one of them: the first two until CUDA 12, the last with newer ones."""

LOCAL_VERSION = re.compile(r"(?:\+|%2B)cu(\d\d)")
"""As in torch==2.6.0+cu124, torch-2.6.0%2Bcu124-... of an address, or flash-attn==2.8.3+cu12torch2.8."""

OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
"""The first driver that runs what was made for any version of a major one of CUDA.

NVIDIA, CUDA Compatibility, "Minor Version Compatibility", table 1:
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
"""


def cuda_of_lock(lock: str) -> int:
    """The newest major version of CUDA that packages of a lock were made for; 0: of none.

    Args:
        lock: A requirements file with every version.
    """
    found = [*CUDA_PACKAGES.findall(lock), *LOCAL_VERSION.findall(lock)]
    return max(map(int, found), default=0)


def newest_cuda(driver: str) -> int:
    """The newest major version of CUDA that a driver runs; 0: none that is known here.

    Args:
        driver: Its version, as in "535.129.03".
    """
    release = int(driver.partition(".")[0])
    return max((cuda for cuda, oldest in OLDEST_DRIVERS.items() if release >= oldest), default=0)
