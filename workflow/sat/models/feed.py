"""The way from stored images to a model and back, on which the device never waits.

Small integers travel: images as uint8, perturbations as int8. Background threads read, unpack and copy what comes
next while the model computes. Adding, clipping and scaling happen on the device (`sat.models.classifier.to_unit`).
Results come back one batch behind the computation, so nothing waits within a loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.models.batches import SLICE, Batch, in_batches
from sat.store.chunks import Held, Items

Item = TypeVar("Item")
Result = TypeVar("Result")
RESIDENT = 0.25
"""Largest share of a GPU's free memory that images take which stay on it."""


class Ahead(Generic[Item, Result]):
    """Work that background threads do ahead of its consumer, in order; used as a context, and iterated over once.

    An exception of the work is raised in the consumer. Whoever leaves the context ends the threads.

    Parameters
    ----------
    items : iterable
    work : callable
        Function that is called with each item in a background thread.
    threads : int
    """

    def __init__(self, items: Iterable[Item], work: Callable[[Item], Result], threads: int = 1) -> None:
        self._items, self._work = iter(items), work
        self._depth = threads + 1
        self._pool = ThreadPoolExecutor(threads, "ahead")
        self._waiting: deque[Future[Result]] = deque()
        # It begins at once, so the first batches are there when the models are.
        self._fill()

    def _fill(self) -> None:
        while len(self._waiting) < self._depth:
            try:
                item = next(self._items)
            except StopIteration:
                return
            self._waiting.append(self._pool.submit(self._work, item))

    def __iter__(self) -> Iterator[Result]:
        while self._waiting:
            found = self._waiting.popleft().result()
            self._fill()
            yield found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class Behind(Generic[Item]):
    """Work that one background thread does behind its producer, in order; used as a context.

    Only few items wait: the producer waits for the oldest of more, and an exception of the work is raised there, or
    when the context is left.

    Parameters
    ----------
    work : callable
    most : int
        Number of items that may wait.
    """

    def __init__(self, work: Callable[[Item], object], most: int = 2) -> None:
        self._work, self._most = work, most
        self._pool = ThreadPoolExecutor(1, "behind")
        self._waiting: deque[Future[object]] = deque()

    def put(self, item: Item) -> None:
        """Hand over an item."""
        while len(self._waiting) >= self._most:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._work, item))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            while self._waiting:
                done = self._waiting.popleft()
                if kind is None:
                    done.result()
        finally:
            # What was handed over before an error of the producer is still done.
            self._pool.shutdown(cancel_futures=kind is None)


@dataclass(frozen=True)
class Sent:
    """Items on their way to the device."""

    count: int
    """Number of items; more are there, because the last is repeated until it is a multiple of 16."""
    tensor: Tensor
    event: Any = None
    device: str = "cpu"

    def here(self) -> Tensor:
        """Get them, on the device. Only what is computed from now on waits for the copy, not the caller."""
        if self.event is None:
            return self.tensor.to(self.device, non_blocking=True)
        stream = torch.cuda.current_stream()
        stream.wait_event(self.event)
        self.tensor.record_stream(stream)
        return self.tensor


class Line:
    """The line to the CPU, where nothing has to be copied; `CudaLine` is that to a GPU."""

    device = "cpu"
    threads = 1
    """Background threads that read and unpack. A second one would take a core from the model."""

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Memory of the host from which, or into which, the device copies: Tensor of this shape and type."""
        return torch.from_numpy(np.empty(shape, dtype))

    def load(self, source: Items, rows: NDArray[np.integer]) -> Sent:
        """Read items and send them, in a background thread; the last is repeated until it is a multiple of 16."""
        count = len(rows)
        room = self.room((count + -count % SLICE, *source.shape[1:]), source.dtype)
        levels = room.numpy()
        source.read(rows, levels[:count])
        levels[count:] = levels[count - 1 : count]
        return self.send(room, count)

    def send(self, room: Tensor, count: int | None = None) -> Sent:
        """Send memory of `room` to the device."""
        return Sent(len(room) if count is None else count, room)

    def fetch(self, values: Tensor) -> Callable[[], NDArray[Any]]:
        """Begin to copy values to the host. The function that is returned waits for them."""
        return values.numpy

    def holds(self, source: Items) -> bool:
        """Say whether all items of a source fit beside the models, so that they may stay on the device."""
        return True


class CudaLine(Line):
    """The line to a GPU: pinned memory, and copies on a stream of their own."""

    device = "cuda"

    def __init__(self) -> None:
        # The main thread only launches kernels.
        self.threads = max(2, torch.get_num_threads())
        self._copies = torch.cuda.Stream()

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """See `Line`; pinned memory is used again, since the host's allocator keeps it."""
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        return torch.empty(shape, dtype=kind, pin_memory=True)

    def send(self, room: Tensor, count: int | None = None) -> Sent:
        """See `Line`."""
        count = len(room) if count is None else count
        try:
            with torch.cuda.stream(self._copies):
                tensor = room.to(self.device, non_blocking=True)
                event = torch.cuda.Event()
                event.record(self._copies)
        except torch.cuda.OutOfMemoryError:
            # The model has all memory now. It is copied when it is asked for, where batches are halved.
            return Sent(count, room, device=self.device)
        return Sent(count, tensor, event)

    def fetch(self, values: Tensor) -> Callable[[], NDArray[Any]]:
        """See `Line`."""
        room = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        room.copy_(values, non_blocking=True)
        event = torch.cuda.Event()
        event.record()

        def wait() -> NDArray[Any]:
            event.synchronize()
            found: NDArray[Any] = room.numpy()
            return found

        return wait

    def holds(self, source: Items) -> bool:
        """See `Line`."""
        free, _ = torch.cuda.mem_get_info()
        return int(np.prod(source.shape)) * source.dtype.itemsize <= RESIDENT * free


def line_to(device: str | Line) -> Line:
    """Make the line to a device, 'cpu' or 'cuda'; a line stays what it is."""
    if isinstance(device, Line):
        return device
    return CudaLine() if device == "cuda" else Line()


def blocks(rows: NDArray[np.integer], batch: Batch) -> Iterator[NDArray[np.integer]]:
    """Cut the numbers of items into those of batches."""
    for first in range(0, len(rows), size := batch.size):
        yield rows[first : first + size]


def launched(
    feed: Iterable[Item],
    batch: Batch,
    count: Callable[[Item], int],
    launch: Callable[[Item, slice], Callable[[], Result]],
) -> Iterator[tuple[Item, slice, Result]]:
    """Compute on what a feed brings; results come one batch behind.

    Parameters
    ----------
    feed : iterable
        Blocks of items, each a batch long.
    batch : Batch
        A block is cut if the batch has been halved since it was read.
    count : callable
        Number of items of a block.
    launch : callable
        Function of a block and a slice of it (the last slice is padded to a multiple of 16 by the block itself). It
        begins a computation, and returns a function that waits for the result.

    Yields
    ------
    block, slice of it, result
    """
    pending: deque[tuple[Item, slice, Callable[[], Result]]] = deque()
    for block in feed:

        def work(where: slice, block: Item = block) -> Callable[[], Result]:
            return launch(block, where)

        for where, wait in in_batches(count(block), batch, work):
            pending.append((block, where, wait))
            if len(pending) > 1:
                before, part, done = pending.popleft()
                yield before, part, done()
    for before, part, done in pending:
        yield before, part, done()


def padded_slice(where: slice) -> slice:
    """The slice with its padding: what a model computes on, of items that `Line.load` has padded."""
    return slice(where.start, where.stop + -(where.stop - where.start) % SLICE)


class Resident:
    """Images that are read when they are first asked for, and stay on the device from then on, if they all fit.

    Parameters
    ----------
    line : Line
    source : Items, shape (n, 3, S, S)
    """

    def __init__(self, line: Line, source: Items) -> None:
        self._line, self._source = line, source
        self._stays = line.holds(source)
        self._known = np.zeros(source.shape[0], bool)
        self._kept: Tensor | None = None

    def ask(self, rows: NDArray[np.integer]) -> Asked:
        """Ask for images. Who asks first has them read, so blocks must reach the device in the order of asking."""
        unread = rows[~self._known[rows]] if self._stays else rows
        self._known[unread] = True
        return Asked(rows, unread)

    def load(self, asked: Asked) -> Asked:
        """Read what is to be read and send it, in a background thread; otherwise only row numbers travel."""
        rows, unread = asked.rows, asked.unread
        if len(unread):
            asked.images = self._line.load(self._source, unread)
            asked.places = self._line.load(Held(unread), np.arange(len(unread))) if self._stays else None
        if len(unread) < len(rows):
            asked.numbers = self._line.load(Held(rows), np.arange(len(rows)))
        return asked

    def here(self, asked: Asked, part: slice) -> Tensor:
        """Get images that were asked for.

        Parameters
        ----------
        asked : Asked
            After `load`.
        part : slice
            Which of them; may reach to a multiple of 16.

        Returns
        -------
        Tensor, shape (m, 3, S, S)
            Channels last in memory, as models read them.
        """
        found = None
        if asked.images is not None:
            found = asked.images.here().permute(0, 2, 3, 1).contiguous()
            if asked.places is not None:
                if self._kept is None:
                    self._kept = found.new_empty((len(self._known), *found.shape[1:]))
                # The padding writes the last image once more.
                self._kept.index_copy_(0, asked.places.here(), found)
        if asked.numbers is not None:
            assert self._kept is not None, "numbers are of images that came before or just now"
            return self._kept.index_select(0, asked.numbers.here()[part]).permute(0, 3, 1, 2)
        assert found is not None, "what is not known is read"
        return found[part].permute(0, 3, 1, 2)


@dataclass
class Asked:
    """Images that a `Resident` is asked for."""

    rows: NDArray[np.integer]
    unread: NDArray[np.integer]
    """Those which nobody asked for before."""
    images: Sent | None = None
    """The unread ones."""
    places: Sent | None = None
    """Their row numbers, where they stay on the device."""
    numbers: Sent | None = None
    """All rows, where not all of them are unread."""
