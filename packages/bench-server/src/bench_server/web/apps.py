"""Django's handle on the app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Pages for people: their frame, and what all of them share."""

    name = "bench_server.web"
    label = "web"
