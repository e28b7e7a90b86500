"""The stubs behind the gates of a monitor's IDT: how control comes to it, and the way back.

    stub:  push 0            where the processor pushes no error code
           trapdoor VECTOR   ends the machine's run: the monitor has control
           add esp, 4
           iretd

Source: SDM vol. 3A, "Interrupt Descriptor Table", "Error Code".
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final

from isa.processor import Processor
from isa.registers import ATTR_DPL_SHIFT, ATTR_P
from isa.vectors import PUSHES_ERROR_CODE

_STUB_BYTES: Final = 16
_PUSH_ZERO: Final = b"\x6a\x00"
_TRAPDOOR: Final = b"\x0f\x0a"
_BACK: Final = b"\x83\xc4\x04\xcf"  # add esp, 4; iretd
_GATE: Final = ATTR_P | 0xE  # 32-bit interrupt gate
_RING_3: Final = 3 << ATTR_DPL_SHIFT

WAY_BACK: Final = len(_PUSH_ZERO + _TRAPDOOR) + 1
"""Offset in the first stub of what follows the trapdoor: there a machine enters its guest."""


def write_stubs(
    processor: Processor,
    linear: Callable[[int], int],
    stubs_hpa: int,
    idt_hpa: int,
    code_selector: int,
    open_to_ring_3: Container[int] = (),
) -> None:
    """Write one stub for each of the 256 vectors, and the IDT whose gates lead to them.

    Args:
        processor: whose memory it is.
        linear: the linear address by which the monitor knows a physical one.
        stubs_hpa, idt_hpa: where the code and the table go.
        code_selector: of the monitor.
        open_to_ring_3: vectors that INT may raise from ring 3; no other is for INT from outside.
    """
    code, table = bytearray(), bytearray()
    for vector in range(256):
        has_error = vector < 32 and PUSHES_ERROR_CODE >> vector & 1
        stub = (b"" if has_error else _PUSH_ZERO) + _TRAPDOOR + bytes([vector]) + _BACK
        at = linear(stubs_hpa) + len(code)
        code += stub.ljust(_STUB_BYTES, b"\xcc")
        attributes = _GATE | (_RING_3 if vector in open_to_ring_3 else 0)
        low = at & 0xFFFF | code_selector << 16
        high = at & 0xFFFF0000 | attributes << 8
        table += low.to_bytes(4, "little") + high.to_bytes(4, "little")
    processor.write_physical(stubs_hpa, bytes(code))
    processor.write_physical(idt_hpa, bytes(table))
