import bench_deploy
import pytest


def test_all_is_sorted() -> None:
    assert bench_deploy.__all__ == sorted(bench_deploy.__all__, key=lambda name: (name[0].islower(), name))


@pytest.mark.parametrize("name", bench_deploy.__all__)
def test_every_name_is_documented(name: str) -> None:
    found = getattr(bench_deploy, name)
    assert found.__name__ == name
    assert found.__doc__
