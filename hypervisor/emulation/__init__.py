"""The instruction emulator that all monitors share, organised by families of instructions.

It interprets one instruction of the guest on the virtual processor: what the instruction would do
on the guest's own machine, privilege checks and faults included. It knows the guest only through
the virtual processor, the guest's memory and the `Host` that the monitor lends it.
"""
