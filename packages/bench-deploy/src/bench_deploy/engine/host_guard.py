"""The host's ports, closed towards the containers' network: a container reaches the internet, not its host.

Docker guards its networks from each other, and not the host from them: what listens on 0.0.0.0, or on the
bridge's own address, is open to every container. Here is the rule that is missing: what comes in from the
bridge is let in if the host began it, and else refused. The address by which clouds tell a machine its own
credentials counts as the host's, though it lies elsewhere.
"""

import os
import shutil
import subprocess
from pathlib import Path

CHAIN = "BENCH-HOST"

_RULES = f"""*filter
:{CHAIN} - [0:0]
-A {CHAIN} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A {CHAIN} -j REJECT
COMMIT
"""

LINK_LOCAL = "169.254.0.0/16"
"""Of it is 169.254.169.254: clouds give the machine's credentials there to whoever asks."""

WAIT_SECONDS = "5"
"""How long to wait for another program that changes the firewall."""


def close_host(interface: str) -> str:
    """Refuse what comes from an interface to this machine itself; what passes through is left alone.

    To do it again changes nothing. It needs root.

    Args:
        interface: The bridge of the containers' network.

    Returns:
        "" if it is closed; else why it is not, as a sentence for people.
    """
    opening = "containers can reach what listens on this machine beyond loopback"
    if not Path("/sys/class/net", interface).exists():
        return f"{opening}: Docker's network {interface} is on another machine, or in a virtual one"
    if os.geteuid() != 0:
        return f"{opening}; root closes that by: {_rule(interface)}"
    problems = [_close("iptables", interface)]
    if Path("/proc/sys/net/ipv6").exists():
        problems.append(_close("ip6tables", interface))
    problems.append(_insert("iptables", ["DOCKER-USER", "-i", interface, "-d", LINK_LOCAL, "-j", "REJECT"]))
    told = "; ".join(problem for problem in problems if problem)
    return f"{opening}: {told}" if told else ""


def _rule(interface: str) -> str:
    return f"iptables -I INPUT -i {interface} -m conntrack ! --ctstate ESTABLISHED,RELATED -j REJECT"


def _close(program: str, interface: str) -> str:
    if shutil.which(program) is None:
        return f"{program} is not installed"
    jump = ["INPUT", "-i", interface, "-j", CHAIN]
    # The chain is written whole in one step, so it is never empty while containers run.
    problem = _call([f"{program}-restore", "--noflush", "-w", WAIT_SECONDS], _RULES)
    if problem:
        return problem
    return _insert(program, jump)


def _insert(program: str, rule: list[str]) -> str:
    """Put a rule first, if its chain does not have it."""
    if shutil.which(program) is None:
        return f"{program} is not installed"
    if not _call([program, "-w", WAIT_SECONDS, "-C", *rule]):
        return ""
    return _call([program, "-w", WAIT_SECONDS, "-I", *rule])


def _call(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{command[0]} says: {' '.join(done.stderr.split())}"
