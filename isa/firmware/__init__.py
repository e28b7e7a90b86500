"""What a PC's mainboard holds in ROM: the BIOS, its tables in low memory, the map of memory.

`memory_map.py` says where RAM is; the BIOS itself is guest code, written in assembly.
"""
