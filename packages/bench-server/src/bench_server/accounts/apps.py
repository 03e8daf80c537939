"""Django's handle on the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users, tokens and invitations."""

    name = "bench_server.accounts"
    label = "accounts"
