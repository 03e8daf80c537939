"""Django's handle on the app."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """Blobs and dataset versions."""

    name = "bench_server.datasets"
    label = "datasets"
