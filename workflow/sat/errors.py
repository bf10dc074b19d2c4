"""The one exception that a user is meant to read."""


class SatError(Exception):
    """A mistake that the user can correct.

    The message is one paragraph. It says what is wrong, where it is wrong (file,
    row, key), and what would be right. The command line prints it without a traceback.
    """


def too_little_memory(error: BaseException) -> str:
    """Say what to do if an error means that there is too little memory.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str
        What happened and what to do; empty if the error is another one.
    """
    # The words of the dynamic loader, of PyTorch, and of the operating system.
    texts = ("failed to map segment", "can't allocate memory", "Cannot allocate memory")
    if not isinstance(error, MemoryError) and not any(text in str(error) for text in texts):
        return ""
    return (
        f"there is too little memory ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). "
        "Nothing that is finished is lost. Raise the limit of this shell or job (ulimit -v, SLURM's --mem), or run "
        "fewer jobs at once, and run the same command again."
    )
