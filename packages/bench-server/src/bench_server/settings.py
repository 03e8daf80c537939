"""Django's settings, from the data folder and the environment, which are read for them here only."""

import os
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

from bench_server.data_folder import open_folder
from bench_server.errors import DatabaseError

FOLDER = open_folder(os.environ["BENCH_SERVER_DATA"])

SECRET_KEY = FOLDER.secret
DEBUG = False
WEB_URL = os.environ.get("BENCH_SERVER_WEB_URL", "http://localhost:8471")
"""Where the pages are; set by `bench-server start` for its children."""
_WEB = urlsplit(WEB_URL)
_NAMES = [name for name in os.environ.get("BENCH_SERVER_WEB_NAMES", "").split(",") if name]
# A page of another site that has its name point to this machine must get nothing.
ALLOWED_HOSTS = [
    *("localhost", "127.0.0.1", "[::1]", _WEB.netloc.rpartition(":")[0]),
    *(f"[{name}]" if ":" in name else name for name in _NAMES),
]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "axes",
    "bench_server.accounts",
    "bench_server.projects",
    "bench_server.datasets",
    "bench_server.code",
    "bench_server.runs",
    "bench_server.tracks",
    "bench_server.web",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "bench_server.web.headers.PrivatePages",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "bench_server.web.urls"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.csrf",
                "django.contrib.messages.context_processors.messages",
                "bench_server.web.pages.visitor",
            ],
        },
    }
]
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"

# Cookies do not know ports: two servers on one machine have names of their own.
_SUFFIX = FOLDER.server_id.rpartition("-")[2]
LOGIN_COOKIE_NAME = f"bench-login-{_SUFFIX}"
CSRF_COOKIE_NAME = f"bench-csrf-{_SUFFIX}"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = _WEB.scheme == "https"
CSRF_FAILURE_VIEW = "bench_server.web.errors.forged"

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": FOLDER.database,
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",  # a transaction that begins by reading cannot be refused midway
        "timeout": 20,  # seconds that a writer waits for another
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
    },
}


def _postgresql(url: str) -> dict[str, Any]:
    """The database that a URL names.

    Raises:
        DatabaseError: It names none that can be used.
    """
    hint = "It looks like postgresql://USER:PASSWORD@HOST:PORT/NAME; without it the server uses SQLite."
    try:
        if urlsplit(url).scheme not in ("postgres", "postgresql"):
            raise DatabaseError("BENCH_DATABASE_URL is no URL of a PostgreSQL database", hint=hint)
        found = dict(dj_database_url.parse(url))
    except ValueError as error:  # never the URL itself: it has a password
        raise DatabaseError("BENCH_DATABASE_URL cannot be read", hint=hint) from error
    if find_spec("psycopg") is None:
        raise DatabaseError(
            "BENCH_DATABASE_URL names PostgreSQL, and its driver is not installed",
            hint="pip install 'psycopg[binary]'",
        )
    return found


_URL = os.environ.get("BENCH_DATABASE_URL")
DATABASES = {"default": _postgresql(_URL) if _URL else _SQLITE}

PASSWORD_HASHERS = ["bench_server.accounts.hashing.FewAtOnce"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # What failed logins say is in the database; on the console only what somebody should do something about.
    "loggers": {"axes": {"level": "ERROR"}},
}

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1 / 12  # hours
AXES_LOCKOUT_PARAMETERS = "bench_server.accounts.attempts.counted_by"
AXES_VERBOSE = False
SILENCED_SYSTEM_CHECKS = ["axes.W002"]
