"""System calls, by subject: files, paths, memory, time, signals, waiting, identity.

A call is a function of the process and up to six 32-bit words; it returns the result or raises
CallError. `table` says which number is which call, and of what kind its arguments are.
"""
