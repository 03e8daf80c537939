"""Django's handle on the app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Runs of projects, their attempts and secrets."""

    name = "bench_server.runs"
    label = "runs"
