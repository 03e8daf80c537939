"""What the errors of uv and apt mean in a step of a build. Their texts are matched here alone."""

import re
from collections.abc import Sequence

from bench_deploy.errors import ImageError

SHOWN_LINES = 12

# The first that matches counts: a text often ends with a general complaint.
MEANINGS = (
    (r"(?i)no space left on device", "the disk is full", "Free some: `bench server gc`, `docker system df`."),
    (
        r"(?i)401 Unauthorized|403 Forbidden|Missing credentials|Proxy Authentication Required",
        "a package index asks for a password",
        "Set it in the server's environment: UV_INDEX_URL, PIP_INDEX_URL, HTTPS_PROXY or ~/.netrc.",
    ),
    (
        r"(?i)invalid peer certificate|certificate verify failed|UnknownIssuer",
        "the certificate of a package index is not known in the base image",
        "Set SSL_CERT_FILE in the server's environment to a file that has it.",
    ),
    (
        r"(?i)dns error|failed to lookup address|name resolution|Temporary failure resolving"
        r"|Network is unreachable|Connection refused|Could not connect to|operation timed out"
        r"|tcp connect error|connection timed out",
        "a package index cannot be reached",
        "Check the network of Docker's containers, and the index and proxy in [image] of bench.toml.",
    ),
    (
        r"E: Unable to locate package (\S+)|E: Package '([^']+)' has no installation candidate",
        "there is no Debian package {0}",
        "Mend its name in [image] apt of bench.toml.",
    ),
    (
        r"Because (\S+) was not found in the (?:package registry|provided package locations)",
        "there is no package {0}",
        "Mend its name in the requirements, or name the index that has it in [image] of bench.toml.",
    ),
    (
        r"(?i)there (?:is|are) no versions? of (\S+)",
        "there is no such version of {0}",
        "Ask for another version in the requirements, or another python in [image] of bench.toml.",
    ),
    (
        r"(?i)no wheels? with a matching|has no wheels|no matching (?:platform|Python)",
        "a package has no wheel for the image's python and platform",
        "Ask for another version of it, or another python in [image] of bench.toml.",
    ),
    (
        r"(?i)No solution found when resolving",
        "the requirements contradict each other",
        "The last lines say which; loosen one. The README of bench-data lists what Bench itself needs.",
    ),
    (
        r"(?i)Git executable not found|git: not found",
        "a requirement comes from git, and the image has none",
        'Add it to [image] of bench.toml: apt = ["git"].',
    ),
    (
        r"(?i)command '?\S*(?:gcc|g\+\+|cc)\S*'? failed|fatal error: \S+: No such file|Failed to build"
        r"|pkg-config",
        "a package cannot be compiled in the image",
        "Add what it needs to [image] apt of bench.toml, or ask for a version with a wheel.",
    ),
    (
        r"(?i)Couldn't parse requirement|Expected .* found|error: .*requirements\.(?:in|txt):\d+",
        "a line of the requirements is no requirement",
        "The last lines say which.",
    ),
)


def step_error(name: str, lines: Sequence[str], code: int) -> ImageError:
    """What a failed step says.

    Args:
        name: The step.
        lines: The end of its output.
        code: Its exit code.
    """
    own = [line.removeprefix("bench-error: ") for line in lines if line.startswith("bench-error: ")]
    hints = [line.removeprefix("bench-hint: ") for line in lines if line.startswith("bench-hint: ")]
    if own:
        return ImageError(own[-1], hint=hints[-1] if hints else None)
    text = "\n".join(lines)
    last = "\n".join(["", *(line for line in lines if line.strip())][-SHOWN_LINES:])
    for pattern, message, hint in MEANINGS:
        if found := re.search(pattern, re.sub(r"\s+", " ", text)):
            meaning = message.format(next((group for group in found.groups() if group), ""))
            return ImageError(f"the image cannot be built ({name}): {meaning}\n{last.strip()}", hint=hint)
    how = "was killed: out of memory?" if code == 137 else f"ended with {code}"
    return ImageError(
        f"the image cannot be built ({name}): the step {how}\n{last.strip()}",
        hint="The build log has all of it.",
    )
