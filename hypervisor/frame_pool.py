"""Frames of the machine that a monitor keeps for its own structures: handed out and taken back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hypervisor.addresses import ENTRIES

Words = NDArray[np.uint32]


class PoolExhausted(Exception):
    """There is no free frame."""


class FramePool:
    """Free frames of the monitor's own memory."""

    def __init__(self, words: Words, frames: Iterable[int]) -> None:
        """Take over frames.

        Args:
            words: the machine's memory as doublewords.
            frames: host frame numbers, all unused.
        """
        self._words = words
        self._free = list(frames)
        self._free.reverse()
        self.capacity = len(self._free)

    @property
    def free(self) -> int:
        """How many frames are left."""
        return len(self._free)

    def take(self) -> int:
        """A frame full of zeros."""
        if not self._free:
            raise PoolExhausted
        hfn = self._free.pop()
        self._words[hfn * ENTRIES : (hfn + 1) * ENTRIES] = 0
        return hfn

    def give_back(self, hfn: int) -> None:
        """Take a frame back."""
        self._free.append(hfn)
