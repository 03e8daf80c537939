"""`bench completion`, and what the shells then ask."""

import subprocess

import pytest
from cli_tools import Cli, Result, error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(cli: Cli, shell: str) -> None:
    shown = cli("completion", shell)
    assert (shown.code, shown.stderr) == (0, "")
    assert f"_BENCH_COMPLETE={shell}_complete" in shown.stdout
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=shown.stdout, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("bench lo", 1, "plain,login\nplain,logout\nplain,logs\n"),
        ("bench project me", 2, "plain,members\n"),
        ("bench data show --la", 3, "plain,--latest\n"),
        ("bench completion ", 2, "plain,bash\nplain,zsh\nplain,fish\n"),
    ],
)
def test_what_is_completed(cli: Cli, words: str, position: int, expected: str) -> None:
    environment = {"_BENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    assert cli(**environment) == Result(0, expected, "")


def test_other_shells(cli: Cli) -> None:
    message = "invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'"
    assert cli("completion", "tcsh") == Result(2, "", error(message, "See: bench completion --help"))
