"""How rates and lengths of time are written."""

from __future__ import annotations


def speed(rate: float) -> str:
    """Return units per second, or seconds per unit where that is the readable side."""
    return f"{rate:.1f}/s" if rate >= 1 else f"{duration(1 / rate)} each"


def clock(seconds: float) -> str:
    """Return a length of time as a clock shows it: 0:12, 3:20, 2:05:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
