"""The machine: everything the manuals describe, from the instruction table to the devices."""
