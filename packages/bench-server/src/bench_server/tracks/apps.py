"""Django's handle on the app."""

from django.apps import AppConfig


class TracksConfig(AppConfig):
    """What trainings say of themselves: series of points, media, orders, checkpoints."""

    name = "bench_server.tracks"
    label = "tracks"
