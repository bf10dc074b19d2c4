"""The one exception that a user is meant to read."""


class SatError(Exception):
    """A mistake that the user can correct.

    The message is one paragraph. It says what is wrong, where it is wrong (file,
    row, key), and what would be right. The command line prints it without a traceback.
    """
