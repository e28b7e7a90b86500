"""Popek and Goldberg by experiment: every form is executed, and classified by what it did.

Read in this order: `world` (the memory in which instructions are tried), `states` (modes, resources
and what they are set to), `instances` (the instructions), `experiment` (one execution and the
comparison of two), `classes` (the definitions), `survey` (all forms), `theorems`, `witness`,
`published`, `report`.

Source: G. J. Popek and R. P. Goldberg, "Formal Requirements for Virtualizable Third Generation
Architectures", Communications of the ACM 17 (7), 1974.
"""
