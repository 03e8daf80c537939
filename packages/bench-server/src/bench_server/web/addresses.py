"""Addresses of pages."""

from django.conf import settings
from django.utils.http import url_has_allowed_host_and_scheme, urlencode


def is_page(path: str) -> bool:
    """Whether a path leads to this server, and not elsewhere as `//host` does."""
    return path.startswith("/") and url_has_allowed_host_and_scheme(path, None)


def sign_in_link(secret: str, path: str = "") -> str:
    """The address that signs a browser in; the secret is in the fragment, which reaches no log.

    Args:
        secret: Of a web login.
        path: The page to be shown then; empty: the first one.
    """
    query = f"?{urlencode({'next': path})}" if path else ""
    return f"{settings.WEB_URL}/sign-in/link{query}#{secret}"


def invitation_link(secret: str) -> str:
    """The address where an invitation is accepted; as above."""
    return f"{settings.WEB_URL}/invitation#{secret}"
