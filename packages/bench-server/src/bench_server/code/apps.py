"""Django's handle on the app."""

from django.apps import AppConfig


class CodeConfig(AppConfig):
    """Versions of projects."""

    name = "bench_server.code"
    label = "code"
