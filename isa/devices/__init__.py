"""The devices of a PC, as their datasheets describe them.

One device per file; `platform.py` puts them at their addresses. The same objects serve the bare
machine and, one set per VM, every virtual machine. Nothing here knows of processors or monitors.
"""
