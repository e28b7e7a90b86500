"""Linear pages with enabled breakpoints: which, for the TLB and the decode cache to ask.

What the answers are derived from is in isa.breakpoints.

Source: SDM vol. 3B, "Debug Registers".
"""

from isa import workspace as w
from isa.jit import jit
from isa.workspace import Workspace


@jit
def is_watched_page(core: Workspace, page: int) -> int:
    """1 if a linear page holds an enabled data breakpoint."""
    if not core[w.BREAK_DATA]:
        return 0
    for number in range(w.BREAKPOINTS):
        if core[w.BREAK_DATA_PAGE + number] == page:
            return 1
    return 0


@jit
def is_stopping_page(core: Workspace, page: int) -> int:
    """1 if a linear page holds an enabled instruction breakpoint."""
    if not core[w.BREAK_CODE]:
        return 0
    for number in range(w.BREAKPOINTS):
        if core[w.BREAK_CODE_PAGE + number] == page:
            return 1
    return 0
