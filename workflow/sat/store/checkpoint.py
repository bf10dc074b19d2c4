"""Checkpoints of a training, beside its weights file, from which a job resumes after another was killed."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from sat.store.artefact import Job
from sat.store.files import replacing
from sat.store.unfinished import Unfinished, readable

log = logging.getLogger("sat")


class Checkpoint(Unfinished):
    """One checkpoint file, which is replaced from time to time. `Unfinished` says which job finds it.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        The job; it has accepted its inputs already.
    every : float
        Fewest seconds between two checkpoints, since an epoch of a small network takes less time than writing one.
    """

    def __init__(self, path: Path | str, job: Job, every: float = 30.0) -> None:
        super().__init__(path, job, "checkpoints")
        self.every = every
        self._file = self.folder / "state.pt"
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Say whether it is time for the next checkpoint."""
        return time.monotonic() - self._written >= self.every

    def read(self) -> dict[str, Any] | None:
        """Read the state that was written last; None if there is none, or if it is damaged.

        Returns
        -------
        dict or None
            Tensors on the CPU.
        """
        import torch

        from sat.store.torch_file import TorchFile

        if not self._file.exists():
            return None
        # Only this compares the check sums.
        if readable(self._file):
            try:
                state: dict[str, Any] = TorchFile(self._file).everything()
                if state.pop("torch") == str(torch.__version__):
                    return state
                log.warning("%s is of another version of PyTorch; training starts from the beginning", self._file)
                return None
            except Exception as error:  # any error that a foreign file causes in pickle
                log.warning("%s: %s", self._file, " ".join(str(error).split())[:200])
        log.warning("%s is damaged; training starts from the beginning", self._file)
        return None

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state that was written before.

        Parameters
        ----------
        state : dict
            Tensors, numbers, strings, and lists and dicts of them.
        """
        import torch

        self.sign()
        with replacing(self._file) as temporary:
            torch.save({**state, "torch": str(torch.__version__)}, temporary)
        self._written = time.monotonic()
