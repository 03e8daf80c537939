"""Where packages come from during a build: what the project says, and what this machine says."""

import netrc
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from bench_core import ImageSettings

PASSED_ON = (
    "UV_INDEX_STRATEGY",
    "UV_TORCH_BACKEND",
    "UV_EXCLUDE_NEWER",
    "UV_PRERELEASE",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
)
"""What uv is told as it is told here."""

CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
MOUNTED_CERTIFICATES = "/tmp/bench-certificates"


@dataclass(frozen=True, kw_only=True)
class PackageSources:
    """Where packages come from.

    Args:
        variables: Of the steps that install. They may hold passwords.
        mounts: Folders and files of this machine by their paths in the steps; read only.
        identity: What decides which versions are found; without passwords.
        secrets: What must not be shown.
    """

    variables: Mapping[str, str]
    mounts: Mapping[str, str]
    identity: tuple[str, ...]
    secrets: tuple[str, ...]


def package_sources(settings: ImageSettings, environment: Mapping[str, str]) -> PackageSources:
    """Find where packages come from.

    The project's index wins over this machine's; more indexes and folders are added to this machine's. A
    URL without a password gets one that this machine has for its host. Folders of this machine are
    mounted; what the project names as a folder is one of the base image.

    Args:
        settings: The section `[image]` of `bench.toml`.
        environment: That of the builder, with the variables that uv and pip know.
    """
    known = _words(environment, "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    own_extra = _words(environment, "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    own_links = _words(environment, "UV_FIND_LINKS", "PIP_FIND_LINKS")
    passwords = _Passwords([*known, *own_extra, *own_links], environment)
    index = [settings.index_url] if settings.index_url else known[:1]
    extra = [*settings.extra_index_urls, *own_extra]
    links = [*settings.find_links, *own_links]
    variables = {
        "UV_DEFAULT_INDEX": passwords.added_to(index),
        "UV_INDEX": passwords.added_to(extra),
        "UV_FIND_LINKS": passwords.added_to(links).replace(" ", ","),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip does: the newest of all indexes
        **{name: environment[name] for name in PASSED_ON if environment.get(name)},
        **_proxies(settings, environment),
    }
    mounts = {folder: folder for folder in _folders([*known[:1], *own_extra, *own_links])}
    certificates = next((environment[name] for name in CERTIFICATES if environment.get(name)), "")
    if Path(certificates).is_file():
        mounts[MOUNTED_CERTIFICATES] = str(Path(certificates).resolve())
        variables["SSL_CERT_FILE"] = MOUNTED_CERTIFICATES
    urls = [*index, *extra, *links]
    of_proxies = [_credentials(variables.get(name, ""))[1] for name in ("http_proxy", "https_proxy")]
    return PackageSources(
        variables={name: value for name, value in variables.items() if value},
        mounts=mounts,
        identity=(*(_bare(url) for url in urls), *(environment.get(name, "") for name in PASSED_ON[:4])),
        secrets=tuple(
            {form for secret in [*passwords.all(), *of_proxies] if secret for form in _forms(secret)}
        ),
    )


def _words(environment: Mapping[str, str], *names: str) -> list[str]:
    """The URLs of variables, without the names that uv lets them have (`name=URL`)."""
    words: list[str] = []
    for name in names:
        value = environment.get(name, "")
        for word in value.replace(",", " ").split() if name == "UV_FIND_LINKS" else value.split():
            label, equals, url = word.partition("=")
            bare = url if equals and label.isidentifier() else word
            words.append(bare if "://" in bare or not Path(bare).exists() else os.path.abspath(bare))
    return words


class _Passwords:
    """User names and passwords by host: those of URLs, and of `~/.netrc` for the hosts asked about."""

    def __init__(self, urls: Iterable[str], environment: Mapping[str, str]) -> None:
        self._by_host: dict[str, tuple[str, str]] = {}
        for url in urls:
            user, password = _credentials(url)
            if password:
                self._by_host.setdefault(_host(url), (user, password))
        self._netrc = _read_netrc(environment)
        self._used: set[str] = set()

    def added_to(self, urls: Iterable[str]) -> str:
        return " ".join(self._added(url) for url in urls)

    def all(self) -> set[str]:
        return {password for _, password in self._by_host.values()} | self._used

    def _added(self, url: str) -> str:
        user, password = _credentials(url)
        if "://" not in url or password:
            return url
        found = self._by_host.get(_host(url))
        if found is None and self._netrc is not None and url.startswith("https:"):
            entry = self._netrc.hosts.get(urlsplit(url).hostname or "")
            found = (entry[0], entry[2]) if entry else None
        if found is None or (user and user != found[0]):
            return url
        self._used.add(found[1])
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{quote(found[0], '')}:{quote(found[1], '')}@{host}"))


def _read_netrc(environment: Mapping[str, str]) -> netrc.netrc | None:
    path = environment.get("NETRC") or os.path.join(environment.get("HOME", ""), ".netrc")
    try:
        return netrc.netrc(path)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None  # as pip and uv take it


def _proxies(settings: ImageSettings, environment: Mapping[str, str]) -> dict[str, str]:
    proxies: dict[str, str] = {}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        value = getattr(settings, name) or environment.get(name) or environment.get(name.upper())
        if value:
            proxies[name] = proxies[name.upper()] = value
    return proxies


def _folders(places: Iterable[str]) -> Iterable[str]:
    for place in places:
        path = unquote(urlsplit(place).path) if place.startswith("file:") else place
        if "://" in path or not os.path.isdir(path):
            continue
        # A `simple` index links to files that lie beside it.
        yield os.path.dirname(path.rstrip("/")) if place.startswith("file:") else path.rstrip("/")


def _credentials(url: str) -> tuple[str, str]:
    parts = urlsplit(url if "://" in url else f"//{url}")
    return unquote(parts.username or ""), unquote(parts.password or "")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else url


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, ""), quote(secret)}
