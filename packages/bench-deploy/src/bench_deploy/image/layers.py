"""The layers of an image: what is done for each, and a key that follows from that and what lies below."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench_core import ImageSettings
from blake3 import blake3

from bench_deploy.image.bench_packages import OF_AGENT, OF_TRAINING, Wheel
from bench_deploy.image.requirements import logical_lines

VENV = "/opt/venv"
"""The user's environment; its programs come first on the PATH."""

AGENT_PYTHON = "/opt/bench/bin/python"
"""Runs `-m bench_agent`, in an environment of its own."""

HOME = "/home/bench"
INPUT = "/tmp/bench-input"
"""Where a step finds its files. All of /tmp is gone after it."""

RECIPE = 1
"""Part of every key: a change to what is outside of the scripts makes all images anew."""

TORCH_GROUP = re.compile(
    r"(?:torch|triton|pytorch-triton[a-z-]*|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)(?=[=\s@\[]|$)"
)
"""torch and what it pins exactly: gigabytes that change only with torch."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of an image.

    Args:
        name: What it holds, for people.
        key: Names the image that ends with it.
        script: What a shell does to make it.
        files: What that finds in `INPUT`.
    """

    name: str
    key: str
    script: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def _layer(below: str, name: str, script: str, files: Mapping[str, bytes] | None = None) -> Layer:
    hasher = blake3(f"{RECIPE}\n{below}\n{script}".encode())
    for path, data in sorted((files or {}).items()):
        hasher.update(f"\n{path} {len(data)}\n".encode() + data)
    return Layer(name=name, key=hasher.hexdigest()[:32], script=script, files=files or {})


def system_layer(base_id: str, settings: ImageSettings, user: tuple[int, int]) -> Layer:
    """Debian packages, a user, and an empty environment.

    Args:
        base_id: The id of the base image.
        settings: Its python and its Debian packages.
        user: Numeric user and group ids.
    """
    words = {
        "WANTED_PYTHON": settings.python or "",
        "PACKAGES": " ".join(sorted(settings.apt)),
        "USER_ID": str(user[0]),
        "GROUP_ID": str(user[1]),
        "USER_HOME": HOME,
        "VENV": VENV,
    }
    given = "".join(f"{name}={shlex.quote(value)}\n" for name, value in words.items())
    return _layer(base_id, "system packages", given + SYSTEM)


def agent_layer(below: str, lock: str) -> Layer:
    """The agent's environment, without our own packages: the same for all projects.

    Args:
        below: The key of the layer below.
        lock: The versions that it has.
    """
    return _layer(below, "the agent's requirements", AGENT, {"agent.txt": lock.encode()})


def python_layers(below: str, lock: str) -> list[Layer]:
    """The packages of a lock: torch alone, if there is one, and the others.

    Args:
        below: The key of the layer below.
        lock: The lock.
    """
    lines = list(logical_lines(lock))
    options = [line for line in lines if line.startswith("-")]
    pins = [line for line in lines if not line.startswith("-")]
    torch = [line for line in pins if TORCH_GROUP.match(line)]
    others = [line for line in pins if not TORCH_GROUP.match(line)]
    layers: list[Layer] = []
    for name, group in (("torch", torch), ("other requirements", others)):
        if group:
            files = {"requirements.txt": _text([*options, *group])}
            layers.append(_layer(layers[-1].key if layers else below, name, INSTALL, files))
    return layers


def bench_layer(below: str, wheels: Sequence[Wheel]) -> Layer:
    """Bench's own packages, in both environments.

    Args:
        below: The key of the layer below.
        wheels: All of ours.
    """
    files = {wheel.name: wheel.data for wheel in wheels}
    script = BENCH.format(training=_paths(OF_TRAINING, wheels), agent=_paths(OF_AGENT, wheels))
    return _layer(below, "Bench", script, files)


def _paths(names: Sequence[str], wheels: Sequence[Wheel]) -> str:
    wanted = tuple(f"{name.replace('-', '_')}-" for name in names)
    return " ".join(f"{INPUT}/{wheel.name}" for wheel in wheels if wheel.name.startswith(wanted))


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


SYSTEM = r"""
fail() { echo "bench-error: $1"; echo "bench-hint: $2"; exit 90; }
python=$(command -v python3 || command -v python) ||
    fail "the base image has no python" "Name one that has in [image] base, or in BENCH_BASE_IMAGE."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ -z "$WANTED_PYTHON" ] || [ "$version" = "$WANTED_PYTHON" ] ||
    fail "the base image has python $version, and bench.toml wants $WANTED_PYTHON" \
         "Name another base image, or change [image] python."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "the base image has python $version, and Bench needs 3.10 or later" "Name another base image."

missing="$PACKAGES"
if command -v apt-get >/dev/null; then
    # torch.compile and Triton compile while they run.
    command -v g++ >/dev/null || missing="$missing g++"
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
    [ -e "$headers/Python.h" ] || [ "$(realpath "$(dirname "$python")")" != /usr/bin ] ||
        missing="$missing python3-dev"
fi
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null ||
        fail "the base image has no apt-get, and [image] apt names $missing" "Use a base image of Debian."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy -o Dpkg::Use-Pty=0 --no-install-recommends $missing
    apt-get clean
    rm -rf /var/lib/apt/lists/*
fi

sed -i "/^bench:/d; /^[^:]*:[^:]*:$USER_ID:/d" /etc/passwd
sed -i "/^bench:/d" /etc/group
grep -q "^[^:]*:[^:]*:$GROUP_ID:" /etc/group || echo "bench:x:$GROUP_ID:" >>/etc/group
echo "bench:x:$USER_ID:$GROUP_ID:Bench:$USER_HOME:/bin/sh" >>/etc/passwd
mkdir -p "$USER_HOME"
chown "$USER_ID:$GROUP_ID" "$USER_HOME"

uv venv --quiet --python "$python" "$VENV"
"""

# A lock has all that is needed, so nothing is resolved again. What is not compiled now is at every start.
INSTALL = f"""
uv pip install --no-deps --compile-bytecode --python {VENV}/bin/python -r {INPUT}/requirements.txt
"""

AGENT = f"""
uv venv --quiet --python {VENV}/bin/python /opt/bench
uv pip install --no-deps --compile-bytecode --python {AGENT_PYTHON} -r {INPUT}/agent.txt
"""

# No cache for what has the same name and other bytes tomorrow.
BENCH = f"""
uv pip install --no-deps --compile-bytecode --no-cache --python {VENV}/bin/python {{training}}
uv pip install --no-deps --compile-bytecode --no-cache --python {AGENT_PYTHON} {{agent}}
"""
