import subprocess
import sys

import bench_deploy
import bench_deploy.engine
import pytest


def test_all_is_sorted() -> None:
    assert bench_deploy.__all__ == sorted(bench_deploy.__all__, key=lambda name: (name[0].islower(), name))


@pytest.mark.parametrize("name", bench_deploy.__all__)
def test_every_name_is_documented(name: str) -> None:
    found = getattr(bench_deploy, name)
    assert found.__name__ == name
    assert found.__doc__


def test_engines_are_sorted_and_documented() -> None:
    names = bench_deploy.engine.__all__
    assert names == sorted(names)
    assert all(getattr(bench_deploy.engine, name).__doc__ for name in names)


def test_docker_is_imported_when_it_is_used() -> None:
    script = "import sys, bench_deploy.engine; print({'docker', 'requests', 'urllib3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
