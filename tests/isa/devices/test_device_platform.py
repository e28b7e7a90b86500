"""The platform as a whole: the map, the console, no access that breaks it, and save/restore."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.devices.configuration import Configuration, Disk
from isa.devices.disk_image import MemoryImage
from isa.devices.platform import Platform, PlatformState

RAM_BYTES = 4 << 20

PORTS = [
    *(0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1),
    *(0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x92, 0x22, 0x23),
    *(*range(0x600, 0x60C), 0xCF9),
    *(*range(0x1F0, 0x1F8), 0x3F6, *range(0x170, 0x178), 0x376),
    *(0xE9, 0xF4, 0xF7, *range(0x3C0, 0x3E0), *range(0x3F8, 0x400), 0x2F8, 0x2F9),
]
APICS = (0xFEE00000, 0xFEC00000)
MEMORY = st.builds(
    lambda base, place: base + place,
    st.sampled_from(APICS),
    st.integers(0, 0x40).map(lambda n: n << 4),
) | st.sampled_from((*range(0xFEE00000, 0xFEE00400, 3), 1 << 36))
SIZES = st.sampled_from((1, 2, 4))
ANY_PORT = st.sampled_from(PORTS) | st.integers(0, 0xFFFF)
WRITES = st.tuples(st.just("write"), ANY_PORT, SIZES, st.integers(0, 0xFFFFFFFF))
READS = st.tuples(st.just("read"), ANY_PORT, SIZES, st.just(0))
LOADS = st.tuples(st.just("load"), MEMORY, SIZES, st.just(0))
STORES = st.tuples(st.just("store"), MEMORY, st.just(4) | SIZES, st.integers(0, 0xFFFFFFFF))
WAITS = st.tuples(st.just("wait"), st.just(0), st.just(0), st.integers(0, 300_000))
OTHERS = (
    LOADS
    | STORES
    | st.tuples(
        st.sampled_from(("acknowledge", "type", "press")),
        st.just(0),
        st.just(0),
        st.integers(0, 0xFFFFFFFF),
    )
)
Action = tuple[str, int, int, int]

# What a driver does, as a start from which random accesses reach interesting states.
PIC_READY: list[Action] = [
    ("write", port, 1, value)
    for port, value in (
        *((0x20, 0x11), (0x21, 0x20), (0x21, 0x04), (0x21, 0x01)),
        *((0xA0, 0x11), (0xA1, 0x28), (0xA1, 0x02), (0xA1, 0x01)),
    )
]
TIMER_READY: list[Action] = [
    ("write", port, 1, value)
    for port, value in (
        (0x43, 0x34),
        (0x40, 0x00),
        (0x40, 0x04),
        (0x43, 0xB6),
        (0x42, 9),
        (0x42, 0),
    )
]
APIC_READY: list[Action] = [
    ("store", address, 4, value)
    for address, value in (
        *((0xFEE003E0, 0xB), (0xFEE00320, 0x20041), (0xFEE00380, 5000), (0xFEE00370, 0xE1)),
        *((0xFEC00000, 0x14), (0xFEC00010, 0x42), (0xFEC00000, 0x18), (0xFEC00010, 0x8044)),
    )
]
SERIAL_READY: list[Action] = [
    ("write", port, 1, value)
    for port, value in ((0x3FB, 3), (0x3FA, 0x81), (0x3FC, 0x0B), (0x3F9, 0x0F), (0x3F8, 65))
]
DISK_READY: list[Action] = [  # a read whose block waits to be taken, and a write to be filled
    *(("write", 0x1F6, 1, 0xE0), ("write", 0x1F2, 1, 3), ("write", 0x1F7, 1, 0xC4)),
    *(("write", 0x176, 1, 0xF0), ("write", 0x172, 1, 2), ("write", 0x177, 1, 0x30)),
    ("wait", 0, 0, 2000),
]
STARTS = st.sampled_from(
    ([], PIC_READY, PIC_READY + TIMER_READY + SERIAL_READY, PIC_READY + DISK_READY, APIC_READY)
)


DISK = Disk(MemoryImage(bytes(range(256)) * 2 * 300))
CONFIGURATION = Configuration(disks=(DISK, None, DISK, DISK))


def build() -> Platform:
    return Platform(lambda gpa, size: bytes(size), RAM_BYTES, configuration=CONFIGURATION)


def play(platform: Platform, actions: list[Action]) -> list[object]:
    """Do as a processor and a user would; return everything that could be noticed."""
    noticed: list[object] = []
    for what, port, size, value in actions:
        match what:
            case "write":
                platform.bus.write_port(port, size, value)
            case "read":
                noticed.append(platform.bus.read_port(port, size))
            case "load":
                noticed.append(platform.bus.read_memory(port, size))
            case "store":
                platform.bus.write_memory(port, size, value)
            case "wait":
                end = platform.clock.now + value
                while (at := platform.clock.next_deadline()) is not None and at <= end:
                    platform.clock.advance_to(max(at, platform.clock.now))
                    platform.clock.run_due()
                    noticed.append((platform.clock.now, platform.interrupt_pending()))
                platform.clock.advance_to(end)
            case "acknowledge":
                noticed.append(platform.acknowledge_interrupt())
            case "type":
                platform.uart.receive(value.to_bytes(4, "little"))
            case _:
                platform.keyboard.press(value.to_bytes(4, "little"))
        noticed.append((platform.interrupt_pending(), platform.exit_code, platform.a20_is_open))
    noticed += [
        bytes(platform.console_output),
        platform.reset_requested,
        platform.vga.screen.cursor,
    ]
    return noticed


@settings(max_examples=200, deadline=None)
@given(STARTS, st.lists(WRITES | WRITES | READS | WAITS | OTHERS, max_size=40))
def test_no_access_breaks_the_platform(start: list[Action], actions: list[Action]) -> None:
    platform = build()
    for noticed in play(platform, [*start, *actions]):
        if isinstance(noticed, int):
            assert 0 <= noticed <= 0xFFFFFFFF
    platform.vga.text()
    assert platform.save() == platform.save()


@settings(max_examples=200, deadline=None)
@given(
    STARTS,
    st.lists(WRITES | READS | WAITS | OTHERS, max_size=25),
    st.lists(READS | WAITS | OTHERS | WRITES, max_size=25),
)
def test_a_restored_platform_has_the_same_future(
    start: list[Action], before: list[Action], after: list[Action]
) -> None:
    platform = build()
    play(platform, [*start, *before])
    stream = msgspec.msgpack.encode(platform.save())

    other = build()
    play(other, before[::2])  # what it was before must not matter
    other.restore(msgspec.msgpack.decode(stream, type=PlatformState))

    assert other.save() == platform.save()
    assert other.clock.next_deadline() == platform.clock.next_deadline()
    assert play(other, after) == play(platform, after)
    assert other.save() == platform.save()


@settings(max_examples=50, deadline=None)
@given(STARTS, st.lists(WRITES | READS | WAITS | OTHERS, max_size=25))
def test_two_platforms_share_nothing(start: list[Action], actions: list[Action]) -> None:
    bystander = build()
    untouched = bystander.save()
    first = play(build(), [*start, *actions])
    assert bystander.save() == untouched
    assert play(bystander, [*start, *actions]) == first


def test_every_guest_visible_attribute_is_in_the_state() -> None:
    """Devices hold nothing besides their state but wiring: no plain value can be forgotten."""
    platform = build()
    derived = {"pending", "_event", "_timeout", "_counters", "vector", "passes_external"}
    fixed = {"_writes", "_limit", "sectors"}  # of a medium, by the configuration
    for name, device in platform._devices.items():
        for attribute, value in vars(device).items():
            if attribute in {"state", "state_type", *derived, *fixed}:
                continue
            plain = isinstance(value, int | str | bytes | bytearray | list | dict | set | tuple)
            assert not plain, f"{name}.{attribute} is neither state nor wiring"


def test_console_output_keeps_the_order_of_both_ports() -> None:
    heard = bytearray()
    platform = Platform(lambda gpa, size: bytes(size), RAM_BYTES, heard.extend)
    for port, byte in ((0xE9, "a"), (0x3F8, "b"), (0xE9, "c")):
        platform.bus.write_port(port, 1, ord(byte))
    assert platform.console_output == heard == b"abc"


def test_the_timer_interrupts() -> None:
    platform = build()
    play(platform, PIC_READY)
    play(platform, [("write", 0x21, 1, 0xFE), *TIMER_READY])
    platform.acknowledge_interrupt()  # OUT rose with the control word
    platform.bus.write_port(0x20, 1, 0x20)
    assert not platform.interrupt_pending()
    deadlines = 0
    while not platform.interrupt_pending():
        at = platform.clock.next_deadline()
        assert at is not None
        platform.clock.advance_to(at)
        platform.clock.run_due()
        deadlines += 1
    assert deadlines <= 3
    assert platform.acknowledge_interrupt() == 0x20
    assert platform.clock.now == -(-1025 * 100_000_000 // 1_193_182)


def test_the_keyboard_and_serial_port_interrupt() -> None:
    platform = build()
    play(platform, PIC_READY + SERIAL_READY)
    while platform.interrupt_pending():  # the empty transmitter
        assert platform.acknowledge_interrupt() == 0x24
        platform.bus.read_port(0x3FA, 1)
        platform.bus.write_port(0x20, 1, 0x20)
    platform.keyboard.press(b"\x1e")
    assert platform.acknowledge_interrupt() == 0x21
    platform.bus.write_port(0x20, 1, 0x20)
    platform.uart.receive(bytes(8))
    assert platform.acknowledge_interrupt() == 0x24


@pytest.mark.parametrize(("port", "value"), [(0x64, 0xFE), (0x92, 0x01)])
def test_both_ways_to_ask_for_a_reset(port: int, value: int) -> None:
    platform = build()
    assert not platform.reset_requested
    platform.bus.write_port(port, 1, value)
    assert platform.reset_requested
    other = build()
    other.restore(platform.save())
    assert other.reset_requested
    platform.reset()
    assert not platform.reset_requested


def test_reset_brings_the_devices_back() -> None:
    platform = build()
    fresh = platform.save().devices
    play(platform, PIC_READY + TIMER_READY + SERIAL_READY)
    play(platform, [("write", 0xE9, 1, 65), ("write", 0xF4, 1, 1), ("write", 0x64, 1, 0xFE)])
    platform.reset()
    assert platform.save().devices == fresh
    assert platform.console_output == b"AA"  # the serial port's and port 0xE9's
    assert platform.clock.next_deadline() is None


def test_a20_has_two_switches() -> None:
    platform = build()
    assert platform.a20_is_open
    play(platform, [("write", 0x64, 1, 0xD1), ("write", 0x60, 1, 0xDD)])
    assert not platform.a20_is_open
    platform.bus.write_port(0x92, 1, 0x02)
    assert platform.a20_is_open


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    platform = build()
    play(platform, PIC_READY + TIMER_READY)
    before = platform.save()
    missing = build().save()
    del missing.devices["pit"]
    with pytest.raises(ValueError, match="differ in devices: pit"):
        platform.restore(missing)
    broken = build().save()
    broken.devices["uart"] = msgspec.msgpack.encode({"divisor": 70000})
    with pytest.raises(ValueError, match=r"saved state of device 'uart': .*divisor"):
        platform.restore(broken)
    broken.devices["uart"] = b"\xc1"
    with pytest.raises(ValueError, match="saved state of device 'uart'"):
        platform.restore(broken)
    assert platform.save() == before
    with pytest.raises(ValueError, match="already"):
        platform.attach("pit", platform.pit)


def test_com2_is_no_console() -> None:
    platform = build()
    play(platform, PIC_READY)
    for port, value in ((0x2F8, 66), (0x3F8, 65), (0x2FC, 0x08), (0x2F9, 0x01)):
        platform.bus.write_port(port, 1, value)
    assert (platform.console_output, platform.com2_output) == (b"A", b"B")
    platform.uart2.receive(b"x")
    assert platform.acknowledge_interrupt() == 0x23
    assert platform.bus.read_port(0x2F8, 1) == ord("x")
