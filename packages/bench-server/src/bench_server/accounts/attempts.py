"""What failed logins are counted by."""

import ipaddress
from typing import Any

from django.http import HttpRequest


def counted_by(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> list[str]:
    """For django-axes: the account; and the address, unless it is this machine's, which all here share."""
    address = request.META.get("REMOTE_ADDR", "") if request else ""
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    return ["username"] if is_loopback else ["username", "ip_address"]
