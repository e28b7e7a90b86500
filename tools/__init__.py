"""For people: the trapgate command, the assembler, the loader, the reports."""
