"""The one error that is shown to users: a line that names what is wrong and where.

Everything a user can cause (a missing file, a damaged image, a wrong operand, an impossible
option) raises it or a subclass; the command prints the line and ends with status 2. What a guest
does wrong is never an error of this kind: a guest ends with a typed stop reason.
"""


class TrapgateError(Exception):
    """Something the user can put right. The text is one line, without a final full stop."""
