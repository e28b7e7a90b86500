"""Why run() came back: the reasons of the exit protocol between compiled code and its owner."""

from enum import IntEnum


class Exit(IntEnum):
    """Reason of an exit; the detail words are in the workspace (EXIT_A to EXIT_D)."""

    BUDGET = 1  # the instruction budget is used up
    HALT = 2  # HLT retired: nothing to do until an interrupt
    SHUTDOWN = 3  # triple fault
    PORT_IN = 4  # A = port, B = bytes; the value is written to the accumulator by the owner
    PORT_OUT = 5  # A = port, B = bytes, C = value; the instruction has retired
    PORT_STRING = 6  # INS: A = port, B = bytes; the owner supplies the value and runs again
    MEMORY_READ = 7  # A = physical address, B = bytes; the owner supplies the value and runs again
    MEMORY_WRITE = 8  # queued device writes; the instruction has retired if D is 1
    TRAPDOOR = 9  # the reserved instruction at CPL 0: A = its immediate byte
    INTERRUPT_WINDOW = 10  # an interrupt can be delivered now, and the owner had asked to know
    YIELD = 12  # a long string instruction or fault loop gives the owner a chance to stop it
