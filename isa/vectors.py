"""Exception vectors, page-fault error-code bits, and how events behave.

Source: SDM vol. 3A, "Protected-Mode Exceptions and Interrupts"; "Exception and Interrupt
Reference".
"""

from typing import Final

DE: Final = 0
DB: Final = 1
NMI: Final = 2
BP: Final = 3
OF: Final = 4
BR: Final = 5
UD: Final = 6
NM: Final = 7
DF: Final = 8
TS: Final = 10
NP: Final = 11
SS: Final = 12
GP: Final = 13
PF: Final = 14
MF: Final = 16
AC: Final = 17
MC: Final = 18

EXCEPTION_NAMES: Final = {
    DE: "#DE",
    DB: "#DB",
    NMI: "NMI",
    BP: "#BP",
    OF: "#OF",
    BR: "#BR",
    UD: "#UD",
    NM: "#NM",
    DF: "#DF",
    TS: "#TS",
    NP: "#NP",
    SS: "#SS",
    GP: "#GP",
    PF: "#PF",
    MF: "#MF",
    AC: "#AC",
    MC: "#MC",
}

# Vectors that push an error code, as a bit mask.
PUSHES_ERROR_CODE: Final = (
    (1 << DF) | (1 << TS) | (1 << NP) | (1 << SS) | (1 << GP) | (1 << PF) | (1 << AC)
)

# "Contributory" exceptions of the double-fault rules (SDM vol. 3A, "Interrupt 8—Double Fault").
CONTRIBUTORY: Final = (1 << DE) | (1 << TS) | (1 << NP) | (1 << SS) | (1 << GP)

PF_PRESENT: Final = 1
PF_WRITE: Final = 2
PF_USER: Final = 4
PF_RESERVED: Final = 8

ERROR_EXT: Final = 1  # the event was external to the program
ERROR_IDT: Final = 2  # the index refers to a gate in the IDT

NO_ERROR_CODE: Final = -1
