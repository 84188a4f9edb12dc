"""Addresses as the environment has them: which are none, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_at_fault(environment: Mapping[str, str]) -> str | None:
    """Return the variable of a proxy that cannot be used, or else of any proxy."""
    kinds = [f"{scheme}_PROXY" for scheme in ("ALL", "HTTPS", "HTTP", "NO")]
    names = [n for k in kinds for n in (k, k.lower()) if environment.get(n)]
    at_fault = (n for n in names if "://" in environment[n] and not is_address(environment[n]))
    return next(at_fault, next(iter(names), None))


def shown(url: str) -> str:
    """Return an address without the name, password and query that it may hold: keys are in them."""
    if re.match(r"(.*?://)?[^/]*[?#].*@", url, re.DOTALL):
        return "…"  # a password may go on behind the question mark
    return re.sub(r"^([\w+.-]+://)?([^?#]*@)?([^?#]*).*", r"\1\3", url, flags=re.DOTALL)


def is_address(url: str) -> bool:
    """Tell whether an endpoint can be behind a text."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return False
