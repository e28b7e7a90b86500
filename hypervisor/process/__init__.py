"""The process-level virtual machine: one i386 Linux program, with us for its operating system.

In the order in which they explain themselves: `layout`, `world` (the machine and its gates),
`regions` and `address_space`, `program` (loading, the first stack), `process` (the loop),
`calls.table` and the calls by subject, `path_tree` (why no name leads out of the root),
`open_files`, `signals` and `signal_frames`, `clock`, `trace`.
"""
