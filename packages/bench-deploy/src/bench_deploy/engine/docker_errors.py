"""What Docker's errors mean. Its texts are matched here, and nowhere else.

The texts are those of dockerd 20.10 to 29, of its classic builder, of containerd and runc, and of docker-py.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bench_deploy.errors import EngineAwayError, EngineError

DISK_HINT = "`docker system df` says what fills it; `bench server gc` and `docker system prune` free it."
NO_GPUS = "Docker cannot give GPUs to a container here"
TOOLKIT_HINT = "Install NVIDIA's container toolkit, run sudo nvidia-ctk runtime configure, restart Docker."


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What an error text means.

    Args:
        patterns: Regular expressions of which one finds it; what its group found goes into message and hint
            as `{}`.
        message: What happened.
        hint: What to do.
        away: Whether Docker itself was not reached.
    """

    patterns: tuple[str, ...]
    message: str
    hint: str
    away: bool = False


# The first that matches counts: a text often ends with a general complaint.
MEANINGS = (
    Meaning(
        patterns=(r"permission denied.*docker (?:daemon socket|API)", r"PermissionError\(13"),
        message="this user may not use Docker",
        hint="Join its group, then log in again: sudo usermod -aG docker $USER",
        away=True,
    ),
    Meaning(
        patterns=(
            r"client version [\d.]+ is too (?:old|new)",
            r"API versions below [\d.]+ are no longer supported",
        ),
        message="the Docker daemon is too old, or too new, for this version of Bench",
        hint="Docker 20.10 or later is needed; `docker version` says what runs.",
    ),
    Meaning(
        patterns=(
            r"cannot connect to the docker daemon",
            r"is the docker daemon running",
            r"FileNotFoundError\(2",
            r"ConnectionRefusedError",
            r"Error while fetching server API version.*Failed to (?:establish a new connection|resolve)",
        ),
        message="no Docker daemon answers",
        hint="Start it: sudo systemctl start docker; or say in DOCKER_HOST where it is.",
        away=True,
    ),
    Meaning(
        patterns=(r"no space left on device", r"not enough (?:free )?space", r"disk quota exceeded"),
        message="Docker's disk is full",
        hint=DISK_HINT,
    ),
    Meaning(
        patterns=(r'the container name "/?([^"]+)" is already in use',),
        message='another container is called "{}"',
        hint='If nothing needs it: docker rm "{}"',
    ),
    Meaning(
        patterns=(r"device error: ([^\s:]+): unknown device",),
        message="there is no GPU {}",
        hint="`nvidia-smi -L` lists those that there are.",
    ),
    Meaning(
        patterns=(
            r"could not select device driver",
            r"nvidia-container-(?:cli|runtime)",
            r"unknown or invalid runtime name: nvidia",
            r"CDI device",
        ),
        message=NO_GPUS,
        hint=TOOLKIT_HINT,
    ),
    Meaning(
        patterns=(r'Get "?https?://([^/"\s]+)\S*.*(?:dial tcp|no such host|timeout|awaiting)',),
        message='the registry "{}" cannot be reached',
        hint="Check Docker's network and proxy, or name an image of this machine in BENCH_BASE_IMAGE.",
    ),
    Meaning(
        patterns=(
            r"No such image: (\S+)",
            r"pull access denied for ([^\s,]+)",
            r"manifest for (\S+) not found",
            r"repository (\S+) not found",
            r"failed to resolve source metadata for ([^\s:]+\S*):",
        ),
        message='there is no image "{}"',
        hint="Check its name, or make it on this machine.",
    ),
    Meaning(
        patterns=(
            r"Temporary failure in name resolution",
            r"Temporary failure resolving",
            r"Name or service not known",
            r"Failed to establish a new connection",
            r"Could not fetch URL",
            r"dns error",
            r"Network is unreachable",
        ),
        message="the image's build cannot reach a package index",
        hint="Check the network, and the index and the proxy in `[image]` of bench.toml.",
    ),
    Meaning(
        patterns=(
            r"(bind source path does not exist: \S+)",
            r"error mounting (\".+?\" to rootfs at \".+?\")",
            r"error mounting (\S+)",
            r"invalid mount config for type \S+: (.+)",
            r"(Duplicate mount point: \S+)",
            r"invalid mount path: (.+)",
        ),
        message="a mount is not possible: {}",
        hint="Both paths are absolute; the host's is there; a folder goes on a folder, and a file on a file.",
    ),
    Meaning(
        patterns=(r'exec: "([^"]+)": ',),
        message='the image cannot run "{}"',
        hint="Check the command, and that the image has that program.",
    ),
    Meaning(
        patterns=(r"minimum memory limit", r"minimum memory reservation"),
        message="the memory limit is too low for a container",
        hint="Ask for more.",
    ),
    Meaning(
        patterns=(r"non-overlapping", r"predefined address pools have been fully subnetted"),
        message="Docker has no addresses left for a network",
        hint="Remove the networks that nothing uses: docker network prune",
    ),
    Meaning(
        patterns=(r"networks have same bridge name",),
        message="another of Docker's networks has the bridge that Bench's network is to have",
        hint="`docker network ls` lists them; if nothing needs it: docker network rm NAME",
    ),
    Meaning(
        patterns=(r"iptables.*(?:No chain/target/match by that name|failed)",),
        message="Docker's firewall rules are gone",
        hint="Something reset the firewall; Docker makes its rules when it starts: restart it.",
    ),
    Meaning(
        patterns=(
            r"Connection aborted",
            r"RemoteDisconnected",
            r"Connection reset",
            r"Broken pipe",
            r"Connection broken",
            r"Read timed out",
            r"IncompleteRead",
            r"Response ended prematurely",
            r"unexpected EOF",
            r"daemon is shutting down",
        ),
        message="Docker does not answer any more",
        hint="It may be restarting; `docker info` says when it is back.",
        away=True,
    ),
)


def docker_error(text: str, doing: str) -> EngineError:
    """Say what an error text of Docker means.

    Args:
        text: As dockerd, the docker command, its builder or docker-py gave it.
        doing: What was being done, as in "start container x".

    Returns:
        The error to raise; EngineAwayError where Docker was not reached.
    """
    for meaning in MEANINGS:
        for pattern in meaning.patterns:
            if found := re.search(pattern, text, re.DOTALL | re.IGNORECASE):
                what = found[1].strip() if found.re.groups else ""
                kind = EngineAwayError if meaning.away else EngineError
                return kind(f"cannot {doing}: {meaning.message.format(what)}", hint=meaning.hint.format(what))
    return EngineError(f"cannot {doing}: {' '.join(text.split())}")


@contextlib.contextmanager
def docker_errors(doing: str) -> Iterator[None]:
    """Raise what docker-py raises as errors of Bench.

    Args:
        doing: What is being done, as in "start container x".

    Raises:
        EngineError: Docker refused.
        EngineAwayError: Docker was not reached.
    """
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        raise docker_error(str(error.explanation or error), doing) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise docker_error(str(error), doing) from error
