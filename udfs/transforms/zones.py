"""Time zones as stored tables: the moments at which the shift from UTC changes, and the shifts between them."""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt


@cache
def zone_table(zone: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Transitions and shifts of a time zone, 1850 to 2150, in microseconds."""
    info = ZoneInfo(zone)
    utc = dt.UTC

    def shift(second: int) -> int:
        moment = dt.datetime(1970, 1, 1, tzinfo=utc) + dt.timedelta(seconds=second)
        offset = moment.astimezone(info).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())

    week = 7 * 86_400
    start, stop = -3_786_912_000, 5_680_281_600
    transitions: list[int] = []
    shifts = [shift(start)]
    for begin in range(start, stop, week):
        end = begin + week
        if shift(end) == shifts[-1]:
            continue
        low, high = begin, end
        while high - low > 1:
            middle = (low + high) // 2
            if shift(middle) == shifts[-1]:
                low = middle
            else:
                high = middle
        transitions.append(high * 1_000_000)
        shifts.append(shift(end))
    return tuple(transitions), tuple(second * 1_000_000 for second in shifts)


def zone_params(zone: str) -> dict[str, npt.NDArray[np.int64]]:
    """The parameters that place a calendar step in a time zone."""
    transitions, shifts = zone_table(zone)
    return {"transitions": np.array(transitions, np.int64), "shifts": np.array(shifts, np.int64)}
