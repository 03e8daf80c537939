from pathlib import Path

from bench_core import ImageSettings
from bench_deploy.image.sources import PackageSources, package_sources


def sources(environment: dict[str, str], **settings: object) -> PackageSources:
    return package_sources(ImageSettings(**settings), environment)  # type: ignore[arg-type]


def test_without_anything_it_is_the_public_index() -> None:
    found = sources({})
    assert found.variables == {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    assert (found.mounts, found.secrets) == ({}, ())


def test_what_uv_and_pip_know_here_holds_for_the_build(tmp_path: Path) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    found = sources(
        {
            "PIP_INDEX_URL": "https://pip.example.org/simple",
            "UV_INDEX_URL": "https://me:one%2Ftwo@uv.example.org/simple",
            "PIP_EXTRA_INDEX_URL": f"https://more.example.org/simple file://{index}",
            "UV_INDEX": "named=https://named.example.org/simple",
            "PIP_FIND_LINKS": str(wheels),
            "HTTPS_PROXY": "http://me:hidden@proxy:3128",
            "UV_EXCLUDE_NEWER": "2025-01-01",
        }
    )
    assert found.variables == {
        "UV_DEFAULT_INDEX": "https://me:one%2Ftwo@uv.example.org/simple",
        "UV_INDEX": f"https://named.example.org/simple https://more.example.org/simple file://{index}",
        "UV_FIND_LINKS": str(wheels),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_EXCLUDE_NEWER": "2025-01-01",
        "https_proxy": "http://me:hidden@proxy:3128",
        "HTTPS_PROXY": "http://me:hidden@proxy:3128",
    }
    assert found.mounts == {str(index.parent): str(index.parent), str(wheels): str(wheels)}
    assert set(found.secrets) == {"one/two", "one%2Ftwo", "hidden"}
    assert not any("one" in text or "hidden" in text for text in found.identity)


def test_the_projects_index_wins_and_gets_the_password_of_its_host() -> None:
    here = {"UV_INDEX_URL": "https://me:hidden@a.example.org/simple"}
    found = sources(here, index_url="https://a.example.org/other")
    assert found.variables["UV_DEFAULT_INDEX"] == "https://me:hidden@a.example.org/other"
    for other in ("https://b.example.org/other", "http://a.example.org/other", "https://you@a.example.org/x"):
        assert sources(here, index_url=other).variables["UV_DEFAULT_INDEX"] == other


def test_netrc_is_asked_for_the_hosts_of_indexes_alone(tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(
        "machine a.example.org login me password hidden\nmachine b.example.org login x password y"
    )
    netrc.chmod(0o600)
    found = sources(
        {"HOME": str(tmp_path)}, extra_index_urls=("https://a.example.org/s", "http://b.example.org")
    )
    assert found.variables["UV_INDEX"] == "https://me:hidden@a.example.org/s http://b.example.org"
    assert found.secrets == ("hidden",)


def test_a_project_mounts_nothing_of_this_machine(tmp_path: Path) -> None:
    found = sources({}, find_links=(str(tmp_path),), extra_index_urls=(f"file://{tmp_path}",))
    assert found.mounts == {}


def test_certificates_go_along(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    found = sources({"SSL_CERT_FILE": str(bundle)})
    assert found.variables["SSL_CERT_FILE"] == "/tmp/bench-certificates"
    assert found.mounts == {"/tmp/bench-certificates": str(bundle)}
    assert sources({"SSL_CERT_FILE": str(tmp_path / "none")}).mounts == {}
