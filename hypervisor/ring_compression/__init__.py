"""Trap-and-emulate by ring compression: guest kernel in ring 1, guest users in ring 3.

Read in this order: `layout` (what is where), `world` (entering and leaving the guest),
`shadow_descriptors` (its segments), `monitor` (what is done about an exit), `technique`.
"""
