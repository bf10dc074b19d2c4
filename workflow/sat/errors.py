"""The one exception that a user is meant to read, and how several are collected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


class SatError(Exception):
    """A mistake that the user can correct.

    The message is one paragraph. It says what is wrong, where it is wrong (file,
    row, key), and what would be right. The command line prints it without a traceback.
    """


@contextmanager
def about(model: str) -> Iterator[None]:
    """Name the model in mistakes that are found in a block ``with about(model):`` and do not name one."""
    try:
        yield
    except SatError as error:
        if str(error).startswith("model "):
            raise
        raise SatError(f"model {model!r}: {error}") from None


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


class Faults:
    """What to do with a mistake: tell it at once, or collect it and look for more.

    A block ``with faults:`` holds one check. By default its SatError goes on.

    Parameters
    ----------
    collect : bool
        Whether SatErrors end the block only, and their messages are kept in `found`.
    """

    def __init__(self, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[str] = []

    def __enter__(self) -> Faults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not self.collect or not isinstance(error, SatError):
            return False
        self.found.append(str(error))
        return True


def in_a_line(error: Exception) -> str:
    """Words of another library's error, in one line of at most 200 letters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def printable(text: str) -> str:
    """Text with its control characters written out, so that words of a study cannot steer a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)
