"""Where this user's own things lie, outside any repository."""

from __future__ import annotations

import os
from pathlib import Path

from bakery.paths import expanded


def cache() -> Path:
    """Return the folder in BAKERY_CACHE, or ours in the common cache folder."""
    if asked := os.environ.get("BAKERY_CACHE"):
        return expanded(asked).absolute()
    common = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (common if common.is_absolute() else Path.home() / ".cache") / "bakery"
