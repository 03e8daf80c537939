from pathlib import Path

import pytest
from bench_core import ImageSettings, ProjectFileError, RunSettings, read_project

PROJECT = '[project]\nid = "0192f0c1-7a3b-7c55-9d2e-0f6b1c2d3e4f"\nname = "x"\n'


def read(folder: Path, text: str) -> tuple[RunSettings, ImageSettings]:
    (folder / "bench.toml").write_text(PROJECT + text)
    settings = read_project(folder)
    return settings.run, settings.image


def test_without_the_sections_there_are_the_defaults(tmp_path: Path) -> None:
    run, image = read(tmp_path, "")
    assert (run, image) == (RunSettings(), ImageSettings())
    assert run.command == ("python", "TrainScript.py")
    assert (run.gpus, run.cpus, run.memory_bytes, run.grace_seconds) == (0, None, None, 60)
    assert (image.base, image.python, image.requirements) == (None, None, "requirements.txt")


def test_all_of_it_is_read(tmp_path: Path) -> None:
    run, image = read(
        tmp_path,
        """
        [run]
        command = "python train.py --name 'two words'"
        launcher = "torchrun"
        gpus = 2
        cpus = 0.5
        memory = "16 GiB"
        grace_seconds = 5
        max_hours = 12
        retry = 1
        environment = { OMP_NUM_THREADS = 1, MODE = "x y" }
        [image]
        base = "bench-base:bookworm"
        python = "3.11"
        apt = ["libgl1", "git"]
        requirements = "deploy/requirements.txt"
        index_url = "https://user@example.org/simple"
        extra_index_urls = ["https://example.org/more"]
        find_links = ["/srv/wheels"]
        http_proxy = "proxy:3128"
        https_proxy = "http://proxy:3128"
        no_proxy = "localhost,example.org"
        """,
    )
    assert run == RunSettings(
        command=("python", "train.py", "--name", "two words"),
        launcher="torchrun",
        gpus=2,
        cpus=0.5,
        memory="16 GiB",
        grace_seconds=5,
        max_hours=12,
        retry=1,
        environment={"OMP_NUM_THREADS": "1", "MODE": "x y"},
    )
    assert run.memory_bytes == 16 << 30
    assert image == ImageSettings(
        base="bench-base:bookworm",
        python="3.11",
        apt=("libgl1", "git"),
        requirements="deploy/requirements.txt",
        index_url="https://user@example.org/simple",
        extra_index_urls=("https://example.org/more",),
        find_links=("/srv/wheels",),
        http_proxy="proxy:3128",
        https_proxy="http://proxy:3128",
        no_proxy="localhost,example.org",
    )


def test_a_command_may_be_a_list(tmp_path: Path) -> None:
    run, _ = read(tmp_path, '[run]\ncommand = ["python", "a b.py"]')
    assert run.command == ("python", "a b.py")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("2kb", 2000), ("1.5GB", 1_500_000_000), (" 512 MiB ", 512 << 20), ("1TiB", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert RunSettings(memory=text).memory_bytes == size


PASSWORD = (
    " has a password, and bench.toml is there to be shared\n"
    "Hint: Set it in the server's environment: UV_INDEX_URL, PIP_INDEX_URL, HTTPS_PROXY or ~/.netrc."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run = 1", "run is 1, and must be a section [run]"),
        ("[run]\ngpu = 1", "unknown key 'gpu' in [run]\nHint: Is it meant to be 'gpus'?"),
        ("[run]\ncommand = ''", '[run] command is empty\nHint: Such as command = "python TrainScript.py".'),
        (
            '[run]\ncommand = "python \'x"',
            '[run] command is "python \'x": No closing quotation\nHint: Mend its quotes.',
        ),
        ("[run]\ncommand = 7", "[run] command is 7, and must be a list of texts"),
        ("[run]\ncommand = [7]", "[run] command[0] is 7, and must be a text that is not empty"),
        (
            '[run]\nlauncher = "mpi"',
            '[run] launcher is \'mpi\'\nHint: It can be "torchrun", "accelerate" or "".',
        ),
        ("[run]\ngpus = -1", "[run] gpus is -1, and must be a whole number, 0 or more"),
        ("[run]\nretry = true", "[run] retry is True, and must be a whole number, 0 or more"),
        ("[run]\ncpus = 0", "[run] cpus is 0, and must be more than 0"),
        ("[run]\nmax_hours = nan", "[run] max_hours is nan, and must be more than 0"),
        ('[run]\nmax_hours = "1"', "[run] max_hours is '1', and must be a number"),
        (
            '[run]\nmemory = "16 XB"',
            '[run] memory is \'16 XB\', which is no size\nHint: Such as "16GB", "16GiB" or "512MB".',
        ),
        (
            "[run]\nmemory = 16",
            '[run] memory is 16, which is no size\nHint: Such as "16GB", "16GiB" or "512MB".',
        ),
        ('[run]\nenvironment = "A=1"', "[run] environment is 'A=1', and must be a table"),
        (
            '[run]\nenvironment = {"A-B" = "1"}',
            "[run] environment has 'A-B', which is no name of a variable",
        ),
        (
            "[run]\nenvironment = {A = []}",
            "[run] environment.A is [], and must be a text or a number",
        ),
        ('[image]\npython = "3"', "[image] python is '3'\nHint: Give its minor version: \"3.11\"."),
        ("[image]\npython = 3.11", "[image] python is 3.11, and must be a text that is not empty"),
        (
            '[image]\napt = ["git; rm -r /"]',
            "[image] apt has 'git; rm -r /', which is no name of a Debian package",
        ),
        ('[image]\napt = "git"', "[image] apt is 'git', and must be a list of texts"),
        (
            '[image]\nrequirements = "../x.txt"',
            "[image] requirements is '../x.txt', which is not in the project's folder\n"
            "Hint: Copy the file into it: only what is there is sent.",
        ),
        ('[image]\nindex_url = "https://me:secret@example.org/simple"', f"[image] index_url{PASSWORD}"),
        ('[image]\nhttps_proxy = "me:secret@proxy:3128"', f"[image] https_proxy{PASSWORD}"),
        ('[image]\nextra_index_urls = ["https://:secret@x/"]', f"[image] extra_index_urls{PASSWORD}"),
        ('[image]\nfind_links = ["https://me:@x/"]', f"[image] find_links{PASSWORD}"),
        ('[image]\nindex_url = "https://[x/"', "[image] index_url is no URL: Invalid IPv6 URL"),
    ],
)
def test_what_the_sections_cannot_say(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "bench.toml").write_text(f"{text}\n{PROJECT}" if text[0] != "[" else PROJECT + text)
    with pytest.raises(ProjectFileError) as caught:
        read_project(tmp_path)
    assert str(caught.value) == f"{tmp_path}/bench.toml: {expected}"
    assert "secret" not in str(caught.value)
