"""The verb `run`: one guest under one technique, its console on standard output."""

from __future__ import annotations

import json as json_text
import sys
from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from isa.cpu_models import DEFAULT
from isa.errors import TrapgateError
from tools import catalogue, status
from tools.arguments import Count, Flag
from tools.boot_options import NO_OPTIONS, GuestOptions
from tools.interrupts import deferred_interrupts
from tools.machine_options import NO_OPTIONS as NO_MACHINE_OPTIONS
from tools.machine_options import MachineOptions

EPILOGUE: Final = f"""\
Examples:
  trapgate run guests/hello
  trapgate run guests/minikernel --technique ring
  trapgate run kernel.elf -m 64M -append "console=com1" --budget 50M
  trapgate run kernel.elf -initrd 'shell.bin --quick,data.bin' -m 64M
  trapgate run bare.bin --address 0x8000 --mode 16 --state
  trapgate run boot.img
  trapgate run -hda system.img -hdb data.img -m 64M --disk-writes overlay
  trapgate run guests/minikernel --until "task 1" --json
  trapgate run kernel.elf --tlb keep
  trapgate run guests/hello --cpu 486+cpuid
  trapgate run kernel.elf --realtime --date 2026-01-31T12:00:00 --no-apic

The guest's console (COM1, and port 0xE9) is standard output; a guest that says
nothing there shows its text screen at the end. Why the run ended is said on
standard error. Options are named as in QEMU where QEMU has
them.

{status.LISTING}"""

app = App(name="run", help_epilogue=EPILOGUE)


@app.default
def run(
    guest: Annotated[
        str | None, Parameter(help="Guest name or folder, assembly source, or binary.")
    ] = None,
    /,
    *,
    options: GuestOptions = NO_OPTIONS,
    cpu: Annotated[
        str, Parameter(help="The processor: a model of `trapgate cpus`, as in 486+cpuid, p6-pge.")
    ] = DEFAULT,
    machine: MachineOptions = NO_MACHINE_OPTIONS,
    technique: Annotated[
        str, Parameter(name=["--technique", "-t"], help="What runs the guest: bare, ring.")
    ] = "bare",
    budget: Annotated[
        Count | None,
        Parameter(
            help="Stop after that many guest instructions: 2000000, 2M"
            " (default: the budget of a guest of the catalogue)."
        ),
    ] = None,
    timeout: Annotated[float | None, Parameter(help="Stop after that many seconds.")] = None,
    until: Annotated[
        str | None, Parameter(help="Stop when this text appears on the console.")
    ] = None,
    state: Annotated[
        Flag, Parameter(help="Show registers and code where the guest stopped.")
    ] = False,
    tlb: Annotated[
        Literal["normal", "check", "keep"],
        Parameter(
            help="check: report uses of translations that no longer agree with the page tables;"
            " keep: also let them live until the guest invalidates them."
        ),
    ] = "normal",
    realtime: Annotated[
        Flag, Parameter(help="Idle at the pace of the host's clock; the run will not repeat.")
    ] = False,
    quiet: Annotated[
        Flag, Parameter(name=["--quiet", "-q"], help="Do not say why it stopped.")
    ] = False,
    json: Annotated[Flag, Parameter(help="Print a JSON report, the console included.")] = False,
) -> int:
    """Run one guest."""
    path = options.path(guest)
    if timeout is not None and not timeout > 0:
        raise TrapgateError("--timeout must be more than 0 seconds")
    if until == "":
        raise TrapgateError("--until needs a text to wait for")
    model = machine.model(cpu)
    entry = None if path is None else catalogue.find(path)
    if budget is None and entry is not None:
        budget = entry.budget
    ram_bytes = options.ram_bytes(guest)
    image = machine.equip(options.load(guest), real_time=realtime)

    with deferred_interrupts():
        from tools import report
        from tools.driver import Limits, drive
        from tools.techniques import start

    running = start(technique, image, ram_bytes, model, tlb)
    limits = Limits(budget, timeout, until.encode() if until else None)
    ending = drive(running, limits, _discard if json else _write_console)
    running.platform.keep_disks()
    if json:
        record = report.run_record(image, technique, running, ending, model.name)
        if tlb != "normal":
            found = running.stale_translations
            record["stale_translations"] = report.stale_records(found, image)
        print(json_text.dumps(record, indent=2))
    else:
        if not running.console:
            _write_screen(running.screen)
        if sys.stderr.isatty() and running.console[-1:] not in (b"", b"\n"):
            print(file=sys.stderr)
        if not quiet:
            report.show_ending(image, technique, running, ending)
            if tlb != "normal":
                report.show_stale_translations(running.stale_translations, image)
        if state:
            from tools.state_view import state_text

            print(state_text(running, image.symbols), file=sys.stderr)
    if ending.reason == "until":
        return status.SUCCESS
    return status.of_stop(ending.reason, running.exit_code)


def _write_console(data: bytes) -> None:
    if data:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write_screen(screen: str) -> None:
    """The text screen of a guest that has said nothing on its console, without the empty part."""
    lines = [line.rstrip() for line in screen.splitlines()]
    text = "\n".join(lines).strip("\n")
    if text:
        print(text, flush=True)


def _discard(data: bytes) -> None:
    """The console goes into the report instead."""
