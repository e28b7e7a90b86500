"""The Gregorian calendar in plain numbers, for clocks that must never fail.

Days are counted from 0000-03-01, so that a leap day is the last of its year; every year from 0 to
9999 is legal.

Source: the calendar's rule as in ISO 8601: years divisible by 4 are leap years, except those
divisible by 100 and not by 400.
"""

from __future__ import annotations

from typing import NamedTuple

DAYS_OF_400_YEARS, DAYS_OF_YEAR, DAYS_OF_5_MONTHS = 146_097, 365, 153
SECONDS_OF_DAY = 86_400
YEARS = 10_000
SECONDS = YEARS // 400 * DAYS_OF_400_YEARS * SECONDS_OF_DAY
"""After that many seconds the calendar begins again at the year 0."""
_WEDNESDAY = 3  # what 0000-03-01 was, with Sunday 0


class Moment(NamedTuple):
    """A date and time of day. Months and days count from 1."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int


def _days_before_march(year: int) -> int:
    """Days from 0000-03-01 to the 1st of March of a year."""
    return DAYS_OF_YEAR * year + year // 4 - year // 100 + year // 400


def is_leap(year: int) -> bool:
    """Whether a year has a 29th of February."""
    return not year % 4 and (bool(year % 100) or not year % 400)


def days_of_month(year: int, month: int) -> int:
    """How many days a month has."""
    return (
        29 if month == 2 and is_leap(year) else 30 + ((month + month // 8) & 1) - 2 * (month == 2)
    )


def seconds_of(moment: Moment) -> int:
    """Seconds from the beginning of the year 0 to a moment, modulo the whole calendar."""
    year = moment.year - (moment.month < 3)
    month = (moment.month + 9) % 12
    day = _days_before_march(year) + (DAYS_OF_5_MONTHS * month + 2) // 5 + moment.day - 1
    within = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return (day * SECONDS_OF_DAY + within) % SECONDS


def moment_of(seconds: int) -> Moment:
    """The moment that many seconds after 0000-03-01 00:00:00, the calendar going round."""
    day, within = divmod(seconds % SECONDS, SECONDS_OF_DAY)
    year = day * 400 // DAYS_OF_400_YEARS
    if _days_before_march(year) > day:
        year -= 1
    elif _days_before_march(year + 1) <= day:
        year += 1
    rest = day - _days_before_march(year)
    month = (5 * rest + 2) // DAYS_OF_5_MONTHS
    first = (DAYS_OF_5_MONTHS * month + 2) // 5
    month = month + 3 if month < 10 else month - 9
    hour, within = divmod(within, 3600)
    return Moment((year + (month < 3)) % YEARS, month, rest - first + 1, hour, *divmod(within, 60))


def weekday_of(seconds: int) -> int:
    """The day of the week, Sunday 0."""
    return (seconds % SECONDS // SECONDS_OF_DAY + _WEDNESDAY) % 7
