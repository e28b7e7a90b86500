"""Near control transfers and the stack instructions, in every width.

All transfers check the target against the code segment's limit before anything changes.

Source: SDM vol. 1, "Procedure Calls, Interrupts, and Exceptions"; vol. 2, the instructions.
"""

from isa.accounts import raise_fault
from isa.flags import condition, zero
from isa.generated import forms as f
from isa.generated.columns import CONDITION, OPERATION
from isa.jit import jit
from isa.memory import probe_write, read_linear, write_linear
from isa.operands import (
    is_user,
    probe_operand,
    read_operand,
    read_register,
    write_operand,
    write_register,
)
from isa.records import ADDRESS32, DONE, FORM_SHIFT, OPERAND32, TRANSFER, TROUBLED
from isa.registers import CS, EBP, ECX, ESP, SS
from isa.segmentation import is_protected, linear_address
from isa.stack import (
    discard,
    peek,
    pointer_mask,
    push,
    read_frame,
    set_stack_pointer,
    stack_pointer,
)
from isa.state import ATTRIBUTES, EIP, GPR, LIMIT, State
from isa.vectors import GP
from isa.workspace import FRAME, NEXT_EIP, REPLAY_NEXT, Bytes, Workspace

M32 = 0xFFFFFFFF


@jit
def checked_target(cpu: State, core: Workspace, target: int) -> int:
    """The target if the code segment reaches it, else -1 with #GP(0) recorded."""
    if target > cpu[LIMIT + CS]:
        return raise_fault(core, GP, 0)
    return target


@jit
def relative_target(core: Workspace, at: int) -> int:
    """Next EIP plus displacement, cut to the operand size."""
    return (core[NEXT_EIP] + core[at + 2]) & (M32 if core[at] & OPERAND32 else 0xFFFF)  # type: ignore[no-any-return]


@jit
def go(cpu: State, core: Workspace, target: int) -> int:
    """Transfer to a target within the code segment."""
    if checked_target(cpu, core, target) < 0:
        return TROUBLED
    cpu[EIP] = target
    return TRANSFER


@jit
def execute_near(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """Jumps, conditional jumps, loops, near calls and returns."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    if operation == f.O_JCC:
        if not condition(core, CONDITION[form]):
            return DONE
        return go(cpu, core, relative_target(core, at))
    if operation == f.O_JMP:
        return go(cpu, core, relative_target(core, at))
    if f.O_JCXZ <= operation <= f.O_LOOP:
        return loop(cpu, core, at, operation)
    if operation == f.O_RET:
        return near_return(cpu, core, ram, marks, at)
    if operation == f.O_CALL:
        target = relative_target(core, at)
    else:
        target = read_operand(cpu, core, ram, marks, at, 0)
        if target < 0:
            return TROUBLED
    if checked_target(cpu, core, target) < 0:
        return TROUBLED
    if operation == f.O_CALL or operation == f.O_CALL_INDIRECT:
        size = 4 if core[at] & OPERAND32 else 2
        if push(cpu, core, ram, marks, core[NEXT_EIP], size) < 0:
            return TROUBLED
    cpu[EIP] = target
    return TRANSFER


@jit
def loop(cpu: State, core: Workspace, at: int, operation: int) -> int:
    """JCXZ and LOOPcc: the count register is as wide as the address size."""
    bits = 32 if core[at] & ADDRESS32 else 16
    count = read_register(cpu, ECX, bits)
    if operation == f.O_JCXZ:
        taken = 1 if count == 0 else 0
    else:
        count = count - 1 & (M32 if bits == 32 else 0xFFFF)
        taken = 1 if count else 0
        if operation == f.O_LOOPE:
            taken &= zero(core)
        elif operation == f.O_LOOPNE:
            taken &= 1 ^ zero(core)
    target = relative_target(core, at)
    if taken and checked_target(cpu, core, target) < 0:
        return TROUBLED
    if operation != f.O_JCXZ:
        write_register(cpu, ECX, bits, count)
    if not taken:
        return DONE
    cpu[EIP] = target
    return TRANSFER


@jit
def near_return(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """RET and RET imm16."""
    size = 4 if core[at] & OPERAND32 else 2
    target = peek(cpu, core, ram, marks, 0, size)
    if target < 0 or checked_target(cpu, core, target) < 0:
        return TROUBLED
    discard(cpu, size + core[at + 2])
    cpu[EIP] = target
    return TRANSFER


@jit
def execute_stack(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int) -> int:
    """PUSH POP PUSHA POPA ENTER LEAVE."""
    form = core[at] >> FORM_SHIFT & 0xFFF
    operation = OPERATION[form]
    size = 4 if core[at] & OPERAND32 else 2
    if operation == f.O_PUSH:
        value = read_operand(cpu, core, ram, marks, at, 0)
        if value < 0 or push(cpu, core, ram, marks, value, size) < 0:
            return TROUBLED
        return DONE
    if operation == f.O_POP:
        return pop(cpu, core, ram, marks, at, size)
    if operation == f.O_PUSHA:
        return push_all(cpu, core, ram, marks, size)
    if operation == f.O_POPA:
        return pop_all(cpu, core, ram, marks, size)
    if operation == f.O_ENTER:
        return enter(cpu, core, ram, marks, at, size)
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    gva = linear_address(cpu, core, SS, cpu[GPR + EBP] & mask, size, 0)
    if gva < 0:
        return TROUBLED
    frame = read_linear(cpu, core, ram, marks, gva, size, is_user(cpu))
    if frame < 0:
        return TROUBLED
    set_stack_pointer(cpu, cpu[GPR + EBP] + size)
    write_register(cpu, EBP, size * 8, frame)
    return DONE


@jit
def pop(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, size: int) -> int:
    """POP: a destination addressed through ESP sees the value after the pop."""
    value = peek(cpu, core, ram, marks, 0, size)
    if value < 0:
        return TROUBLED
    before = cpu[GPR + ESP]
    discard(cpu, size)
    after = cpu[GPR + ESP]
    if probe_operand(cpu, core, ram, marks, at, 0) < 0:
        cpu[GPR + ESP] = before
        return TROUBLED
    cpu[GPR + ESP] = after
    write_operand(cpu, core, ram, marks, at, 0, value)
    return DONE


@jit
def push_all(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """PUSHA: all eight words are probed first; the pushed ESP is the one before the instruction.

    Where the words would straddle the end of an 8086's stack the manual names a fault by the value
    of SP: 1, 3 and 5 leave no room for delivering #SS either, the others are #GP(0).
    """
    user = is_user(cpu)
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    top = stack_pointer(cpu)
    if top & 1 and 7 <= top <= 15 and not is_protected(cpu):
        raise_fault(core, GP, 0)
        return TROUBLED
    for number in range(8):
        offset = top - (number + 1) * size & mask
        gva = linear_address(cpu, core, SS, offset, size, 1)
        if gva < 0 or probe_write(cpu, core, ram, marks, gva, size, user) < 0:
            return TROUBLED
    for number in range(8):
        offset = top - (number + 1) * size & mask
        gva = linear_address(cpu, core, SS, offset, size, 1)
        write_linear(cpu, core, ram, marks, gva, size, cpu[GPR + number], user)
    set_stack_pointer(cpu, top - 8 * size)
    return DONE


@jit
def pop_all(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, size: int) -> int:
    """POPA: the word for ESP is skipped."""
    if read_frame(cpu, core, ram, marks, 8, size) < 0:
        return TROUBLED
    for number in range(8):
        if number != ESP:
            write_register(cpu, number, size * 8, core[FRAME + 7 - number])
    discard(cpu, 8 * size)
    return DONE


@jit
def enter(cpu: State, core: Workspace, ram: Bytes, marks: Bytes, at: int, size: int) -> int:
    """ENTER: the whole frame is probed, and every link read, before the first word is stored.

    The links are read again from memory, where the words pushed so far may overlap them; but not
    from a device, whose answers may be had once only.
    """
    user = is_user(cpu)
    mask = pointer_mask(cpu[ATTRIBUTES + SS])
    allocate = core[at + 2] & 0xFFFF
    level = core[at + 3] & 31
    top = stack_pointer(cpu)
    # All of ESP after the first push, its upper half included, even on a 16-bit stack.
    frame = cpu[GPR + ESP] & (M32 ^ mask) | top - size & mask
    words = level + 1
    for word in range(words):
        gva = linear_address(cpu, core, SS, top - (word + 1) * size & mask, size, 1)
        if gva < 0 or probe_write(cpu, core, ram, marks, gva, size, user) < 0:
            return TROUBLED
    final = top - words * size - allocate & mask
    gva = linear_address(cpu, core, SS, final, size, 1)
    if gva < 0 or probe_write(cpu, core, ram, marks, gva, size, user) < 0:
        return TROUBLED
    for word in range(1, level):
        link = linear_address(cpu, core, SS, cpu[GPR + EBP] - word * size & mask, size, 0)
        if link < 0:
            return TROUBLED
        value = read_linear(cpu, core, ram, marks, link, size, user)
        if value < 0:
            return TROUBLED
        core[FRAME + word] = value
    from_device = core[REPLAY_NEXT]
    gva = linear_address(cpu, core, SS, top - size & mask, size, 1)
    write_linear(cpu, core, ram, marks, gva, size, cpu[GPR + EBP], user)
    for word in range(1, level):
        link = linear_address(cpu, core, SS, cpu[GPR + EBP] - word * size & mask, size, 0)
        value = core[FRAME + word]
        if not from_device:
            value = read_linear(cpu, core, ram, marks, link, size, user)
        gva = linear_address(cpu, core, SS, top - (word + 1) * size & mask, size, 1)
        write_linear(cpu, core, ram, marks, gva, size, value, user)
    if level:
        gva = linear_address(cpu, core, SS, top - words * size & mask, size, 1)
        write_linear(cpu, core, ram, marks, gva, size, frame, user)
    set_stack_pointer(cpu, final)
    write_register(cpu, EBP, size * 8, frame)
    return DONE
