"""Django's handle on the app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Projects and their members."""

    name = "bench_server.projects"
    label = "projects"
