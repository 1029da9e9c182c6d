"""The one exception for a user's mistake."""


class UserError(Exception):
    """One sentence that names the key or file, what was found there, and what to do; the process ends with code 2."""


class Diverged(Exception):
    """Training met a value that is not finite; the process ends with code 3, and the last checkpoint is good."""
