"""The 8259A pair against a second model, written from the datasheet in other terms.

The model keeps priority as a list of levels from highest to lowest, and registers as sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from isa.devices.bus import Bus
from isa.devices.pic import InterruptController

LEVELS = range(8)


def bits(byte: int) -> set[int]:
    return {level for level in LEVELS if byte >> level & 1}


def byte(levels: set[int]) -> int:
    return sum(1 << level for level in levels)


@dataclass
class ModelChip:
    high: set[int] = field(default_factory=set)
    latched: set[int] = field(default_factory=set)
    always_level: set[int] = field(default_factory=set)
    serving: set[int] = field(default_factory=set)
    masked: set[int] = field(default_factory=lambda: set(LEVELS))
    order: list[int] = field(default_factory=lambda: list(LEVELS))
    words: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0, 3: 0, 4: 0})
    to_come: list[int] = field(default_factory=list)
    ready: bool = False
    aeoi_rotation: bool = False
    special_mask: bool = False
    shows_isr: bool = False
    polling: bool = False

    def drive(self, level: int, high: bool) -> None:
        if high and level not in self.high:
            self.latched.add(level)
        (self.high.add if high else self.high.discard)(level)
        self.latched &= self.high

    def asking(self) -> set[int]:
        levels = set(LEVELS) if self.words[1] & 8 else self.always_level
        return self.high & (self.latched | levels)

    def slaves(self) -> set[int]:
        return set() if self.words[1] & 2 else bits(self.words[3])

    def best(self, cascades: set[int]) -> int | None:
        if not self.ready:
            return None
        blocking = self.serving - self.masked if self.special_mask else self.serving
        ranks = [self.order.index(level) for level in blocking]
        limit = min(ranks, default=8)
        for rank, level in enumerate(self.order):
            if level not in self.asking() - self.masked:
                continue
            nests = bool(self.words[4] & 0x10) and level in cascades
            if rank < limit or (rank == limit and nests):
                return level
        return None

    def lower(self, level: int) -> None:
        """Give `level` the lowest priority."""
        at = self.order.index(level) + 1
        self.order = self.order[at:] + self.order[:at]

    def take(self, level: int | None) -> int:
        if level is None:
            return 7
        self.latched.discard(level)
        if not self.words[4] & 2:
            self.serving.add(level)
        elif self.aeoi_rotation:
            self.lower(level)
        return level

    def vector(self, level: int) -> int:
        if self.words[4] & 1:
            return self.words[2] // 8 * 8 + level
        if self.words[1] & 4:
            return self.words[1] // 32 * 32 + 4 * level
        return self.words[1] // 64 * 64 + 8 * level

    def command(self, value: int) -> None:
        if value & 0x10:
            self.__dict__.update(
                ModelChip(
                    high=self.high,
                    always_level=self.always_level,
                    masked=set(),
                    words={**self.words, 1: value, 4: 0},
                    to_come=[2, *([] if value & 2 else [3]), *([4] if value & 1 else [])],
                ).__dict__
            )
        elif value & 0x08:
            if value & 0x40:
                self.special_mask = bool(value & 0x20)
            if value & 0x02:
                self.shows_isr = bool(value & 0x01)
            self.polling = bool(value & 0x04)
        else:
            self.end_or_rotate(value >> 5, value & 7)

    def end_or_rotate(self, code: int, level: int) -> None:
        visible = self.serving - self.masked if self.special_mask else self.serving
        highest = next((level for level in self.order if level in visible), None)
        if code in (0, 4):
            self.aeoi_rotation = code == 4
        if code in (1, 5) and highest is not None:
            self.serving.remove(highest)
            if code == 5:
                self.lower(highest)
        if code in (3, 7):
            self.serving.discard(level)
        if code in (6, 7):
            self.lower(level)

    def data(self, value: int) -> None:
        if self.to_come:
            self.words[self.to_come.pop(0)] = value
            self.ready = not self.to_come
        else:
            self.masked = bits(value)


class ModelPair:
    def __init__(self) -> None:
        self.master, self.slave = ModelChip(), ModelChip()

    def settle(self) -> None:
        self.master.drive(2, self.slave.best(set()) is not None)

    def best(self) -> int | None:
        return self.master.best(self.master.slaves())

    def take_slave(self) -> int:
        level = self.slave.take(self.slave.best(set()))
        self.master.drive(2, False)
        return level

    def acknowledge(self) -> int:
        level = self.master.take(self.best())
        if level not in self.master.slaves():
            vector = self.master.vector(level)
        elif self.slave.words[3] % 8 == level:
            vector = self.slave.vector(self.take_slave())
        else:
            vector = 0xFF
        self.settle()
        return vector

    def read(self, chip: ModelChip, a0: int) -> int:
        if chip.polling:
            chip.polling = False
            if chip is self.master:
                best = self.best()
                result = 0 if best is None else 0x80 + chip.take(best)
            else:
                result = 0 if chip.best(set()) is None else 0x80 + self.take_slave()
            self.settle()
            return result
        if a0:
            return byte(chip.masked)
        return byte(chip.serving) if chip.shows_isr else byte(chip.asking())

    def write(self, chip: ModelChip, a0: int, value: int) -> None:
        (chip.data if a0 else chip.command)(value)
        self.settle()


class PicAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = ModelPair()
        self.pic = InterruptController()
        self.bus = Bus()
        self.bus.claim_ports(0x20, 0x21, self.pic.master)
        self.bus.claim_ports(0xA0, 0xA1, self.pic.slave)
        self.bus.claim_ports(0x4D0, 0x4D1, self.pic.edge_level)

    def write(self, port: int, value: int) -> None:
        self.bus.write_port(port, 1, value)
        chip = self.model.master if port < 0x80 else self.model.slave
        self.model.write(chip, port & 1, value)

    @initialize()
    def as_a_pc_does(self) -> None:
        for chip, base, cascade in ((0x20, 0x20, 0x04), (0xA0, 0x28, 0x02)):
            self.write(chip, 0x11)
            for word in (base, cascade, 0x01):
                self.write(chip + 1, word)

    @rule(
        chip=st.sampled_from((0x20, 0xA0)),
        icw1=st.sampled_from((0x10, 0x11, 0x13, 0x15, 0x19)),
        icw2=st.integers(0, 255),
        icw4=st.sampled_from((0x01, 0x03, 0x11, 0x13, 0x00, 0x02)),
    )
    def initialise(self, chip: int, icw1: int, icw2: int, icw4: int) -> None:
        self.write(chip, icw1)
        self.write(chip + 1, icw2)
        if not icw1 & 2:
            self.write(chip + 1, 0x04 if chip == 0x20 else 0x02)
        if icw1 & 1:
            self.write(chip + 1, icw4)

    @rule(
        port=st.sampled_from((0x20, 0x21, 0xA0, 0xA1)),
        value=st.integers(0, 0xFF) | st.sampled_from((0x20, 0x0A, 0x0B, 0x0C, 0x68, 0x48, 0xA0)),
    )
    def command(self, port: int, value: int) -> None:
        self.write(port, value)

    @rule(port=st.sampled_from((0x20, 0x21, 0xA0, 0xA1)))
    def read(self, port: int) -> None:
        chip = self.model.master if port < 0x80 else self.model.slave
        assert self.bus.read_port(port, 1) == self.model.read(chip, port & 1)

    @rule(slave=st.booleans(), value=st.integers(0, 0xFF))
    def edge_or_level(self, slave: bool, value: int) -> None:
        self.bus.write_port(0x4D0 + slave, 1, value)
        fixed = {0, 5} if slave else {0, 1, 2}
        chip = self.model.slave if slave else self.model.master
        chip.always_level = bits(value) - fixed
        self.model.settle()

    @rule(irq=st.sampled_from([irq for irq in range(16) if irq != 2]), high=st.booleans())
    def drive(self, irq: int, high: bool) -> None:
        self.pic.set_irq(irq, high)
        (self.model.slave if irq > 7 else self.model.master).drive(irq % 8, high)
        self.model.settle()

    @rule()
    def acknowledge(self) -> None:
        assert self.pic.acknowledge() == self.model.acknowledge()

    @rule()
    def save_and_restore(self) -> None:
        state = self.pic.save()
        self.pic.reset()
        self.pic.restore(state)

    @invariant()
    def agree(self) -> None:
        assert self.pic.pending == (self.model.best() is not None)
        pairs = ((self.pic.master, self.model.master), (self.pic.slave, self.model.slave))
        for chip, model in pairs:
            assert chip.state.in_service == byte(model.serving)
            assert chip.requests == byte(model.asking())
            assert chip.state.mask == byte(model.masked)
            assert chip.state.lowest == model.order[-1]
            assert chip.state.special_mask == model.special_mask
            assert chip.state.rotates_on_aeoi == model.aeoi_rotation
            assert chip.state.reads_in_service == model.shows_isr
            assert chip.state.polls == model.polling


TestPicAgainstModel = PicAgainstModel.TestCase
TestPicAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
