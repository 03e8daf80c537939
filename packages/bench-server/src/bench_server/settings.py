"""Django's settings, from the data folder and the environment, which are read for them here only."""

import os
from typing import Any

import dj_database_url

from bench_server.data_folder import open_folder

FOLDER = open_folder(os.environ["BENCH_SERVER_DATA"])

SECRET_KEY = FOLDER.secret
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "axes",
    "bench_server.accounts",
    "bench_server.projects",
    "bench_server.datasets",
]

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": FOLDER.database,
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",  # a transaction that begins by reading cannot be refused midway
        "timeout": 20,  # seconds that a writer waits for another
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
    },
}
_URL = os.environ.get("BENCH_DATABASE_URL")
DATABASES = {"default": dict(dj_database_url.parse(_URL)) if _URL else _SQLITE}

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
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
SILENCED_SYSTEM_CHECKS = ["axes.W002"]
