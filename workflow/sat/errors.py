"""The one exception that a user is meant to read."""


class SatError(Exception):
    """A mistake that its maker can mend.

    The message is one paragraph that says what is wrong, where (file, row,
    key), and what would be right. The command line prints it without a
    traceback.
    """
