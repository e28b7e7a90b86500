"""Random accesses to every register of every device, in random order, by every width.

Nothing may raise, give more than fits, or keep the host busy; and what a machine does must follow
from its state: one that is restored in between does the same. `make test-fuzz` tries ten million
accesses.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from isa.devices.configuration import Configuration, Disk
from isa.devices.disk_image import MemoryImage
from isa.devices.platform import Platform
from tests.case_count import count_case

ACCESSES = int(os.environ.get("TRAPGATE_FUZZ_ACCESSES", "40000"))
SEEDS = 4
EPISODE = 2_000  # accesses to one machine
EVENTS = 200  # fired in a row at most: a guest can ask for one at every tick
SLOWEST_SECONDS = 2.0  # one access or one step of time; the host may be busy with other things
IMAGE = MemoryImage(bytes(range(256)) * 2 * 400)


def make() -> Platform:
    disks = (Disk(IMAGE), None, Disk(IMAGE), None)
    return Platform(lambda gpa, size: bytes(size), 4 << 20, configuration=Configuration(disks))


class Fuzzer:
    """Plays a guest that knows nothing, and a user who types."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.platform = make()
        self.ports = [
            port
            for claim in self.platform.bus.ports.claims
            for port in range(claim.first, claim.last + 1)
        ]
        self.memory = self.platform.bus.memory.claims

    def value(self) -> int:
        chosen = self.random
        match chosen.randrange(4):
            case 0:
                return chosen.getrandbits(32)
            case 1:
                return chosen.choice((0, 0xFF, 0xFFFF, 0xFFFFFFFF, 1, 0x80))
            case 2:
                return 1 << chosen.randrange(32)
            case _:
                return chosen.getrandbits(8)

    def port(self) -> int:
        chosen = self.random
        return chosen.choice(self.ports) if chosen.random() < 0.97 else chosen.getrandbits(16)

    def address(self) -> int:
        chosen = self.random
        claim = chosen.choice(self.memory)
        return claim.first + (
            chosen.randrange(claim.last - claim.first + 1) & ~chosen.choice((0, 15))
        )

    def step(self) -> object:
        """One access or one event from outside; what could be noticed."""
        chosen, platform = self.random, self.platform
        size = chosen.choice((1, 1, 2, 4))
        limit = 1 << 8 * size
        kind = chosen.random()
        if kind < 0.4:
            platform.bus.write_port(self.port(), size, self.value() % limit)
            return None
        if kind < 0.65:
            found = platform.bus.read_port(self.port(), size)
        elif kind < 0.8:
            platform.bus.write_memory(self.address(), size, self.value() % limit)
            return None
        elif kind < 0.88:
            found = platform.bus.read_memory(self.address(), size)
        else:
            return self.outside()
        assert 0 <= found < limit
        return found

    def outside(self) -> object:
        chosen, platform = self.random, self.platform
        match chosen.randrange(6):
            case 0 | 1 | 2:
                return self.pass_time(chosen.choice((1, 50, 1000, 100_000)))
            case 3:
                if platform.interrupt_pending():
                    vector = platform.acknowledge_interrupt()
                    assert 0 <= vector <= 0xFF
                    return vector
                return None
            case 4:
                chosen.choice((platform.uart, platform.uart2)).receive(chosen.randbytes(3))
                return None
            case _:
                platform.acpi.press_power_button()
                return platform.exit_code

    def pass_time(self, ticks: int) -> int:
        """Time as it passes for an idle processor, but not through endless events."""
        clock = self.platform.clock
        end = clock.now + ticks
        for _ in range(EVENTS):
            at = clock.next_deadline()
            if at is None or at > end:
                clock.advance_to(end)
                break
            clock.advance_to(max(at, clock.now))
            clock.run_due()
        return clock.now


def play(seed: int, accesses: int) -> tuple[list[object], float]:
    """An episode; everything noticed, and the seconds of the slowest step."""
    fuzzer = Fuzzer(seed)
    noticed: list[object] = []
    slowest = 0.0
    for number in range(accesses):
        begun = time.perf_counter()
        noticed.append(fuzzer.step())
        slowest = max(slowest, time.perf_counter() - begun)
        if number == accesses // 2:
            saved = fuzzer.platform.save()
            fuzzer.platform = make()
            fuzzer.platform.restore(saved)
    fuzzer.platform.vga.text()
    noticed.append(fuzzer.platform.save())
    return noticed, slowest


@pytest.mark.parametrize("first", range(SEEDS))
def test_no_access_raises_or_takes_long(first: int) -> None:
    for episode in range(-(-ACCESSES // SEEDS // EPISODE)):
        _, slowest = play(first + SEEDS * episode, EPISODE)
        assert slowest < SLOWEST_SECONDS
        count_case(EPISODE)


def test_a_machine_restored_on_the_way_notices_the_same() -> None:
    fuzzer = Fuzzer(99)
    straight = [fuzzer.step() for _ in range(EPISODE)]
    restored, _ = play(99, EPISODE)
    assert straight == restored[:-1]
    assert fuzzer.platform.save() == restored[-1]
