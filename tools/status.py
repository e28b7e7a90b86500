"""Exit statuses of the command.

A guest leaves through port 0xF4 with `(value << 1) | 1`, which is odd whatever it writes; the
command's own statuses are even (and 1, which only `compare` uses), so the two never mix.
"""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0
NOT_EQUAL: Final = 1
USAGE: Final = 2
HALT: Final = 4
SHUTDOWN: Final = 6
ERROR: Final = 8
POWER_OFF: Final = 10
WAITING: Final = 12  # never of a whole run
BUDGET: Final = 124
GAVE_UP: Final = 125  # what env, timeout and docker use for a failure of their own
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 140

_BY_REASON: Final = {
    "power-off": POWER_OFF,
    "halt": HALT,
    "shutdown": SHUTDOWN,
    "waiting": WAITING,
    "budget": BUDGET,
    "interrupted": INTERRUPTED,
    "error": ERROR,
}

LISTING: Final = f"""\
Exit status:
  odd         the guest's own: it wrote (status - 1) / 2 to port 0xF4
  {SUCCESS}           the text given with --until appeared
  {USAGE}           usage error: wrong option, missing or damaged file
  {HALT}           the guest halted with no interrupt that could wake it
  {SHUTDOWN}           the guest shut its processor down (triple fault)
  {ERROR}           the monitor gave up on the guest
  {POWER_OFF}          the guest switched the machine off
  {BUDGET}         out of budget or time (--budget, --timeout)
  {INTERRUPTED}         interrupted (Ctrl-C)"""


def of_stop(reason: str, exit_code: int | None) -> int:
    """The status for a stop: the guest's exit code if it gave one, else one for the reason."""
    if reason == "exit" and exit_code is not None:
        return exit_code & 0xFF
    return _BY_REASON.get(reason, ERROR)
