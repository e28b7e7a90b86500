"""Mutated images for all loaders: `python -m tests.fuzz.images --count 100000`.

Every image is a good one with some damage: fields with values at the edges, bytes flipped, parts
cut out, doubled or exchanged, the end lost. A loader may refuse it in one line, or load it inside
memory; some of those that load are also run for a while. Anything else is an error of ours, and the
image is kept to look at.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from isa.boot import BootImage
from isa.errors import TrapgateError
from tests.fuzz.image_seeds import Seed, seeds
from tools.drives import Drives
from tools.loader import load

RAM_BYTES = 4 << 20
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x9FC00, 0xA0000, 0x100000, RAM_BYTES,
         RAM_BYTES - 1, 0x7FFFFFFF, 0x80000000, 0xFFFFF000, 0xFFFFFFFF)  # fmt: skip
LONGEST_MESSAGE = 500
SLOWEST_SECONDS = 5.0
RUN_EVERY = 50
RUN_INSTRUCTIONS = 20_000


class Failure(AssertionError):
    """An image that was not handled as it should be."""


def mutated(seed: Seed, rng: random.Random) -> bytes:
    """The seed with one to six pieces of damage."""
    data = bytearray(seed.data)
    for _ in range(rng.randint(1, 6)):
        _damage(data, seed, rng)
    return bytes(data)


def _damage(data: bytearray, seed: Seed, rng: random.Random) -> None:
    kind = rng.randrange(8)
    if kind < 3 and seed.fields:
        at = rng.choice(seed.fields)
        value = rng.choice(EDGES) if rng.random() < 0.7 else rng.getrandbits(32)
        size = rng.choice((1, 2, 4, 4))
        data[at : at + size] = struct.pack("<I", value)[:size]
    elif not data:
        data += rng.randbytes(rng.randint(1, 64))
    elif kind == 3:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 4:
        del data[rng.randrange(len(data)) :]
    elif kind == 5:
        at = rng.randrange(len(data))
        del data[at : at + rng.randint(1, 64)]
    elif kind == 6:
        at, source = rng.randrange(len(data)), rng.randrange(len(data))
        data[at:at] = data[source : source + rng.randint(1, 256)]
    else:
        at = rng.randrange(len(data))
        data[at : at + 8] = rng.randbytes(8)


def check(path: Path, seed: Seed, rng: random.Random, modules: Path) -> BootImage | None:
    """Load an image; the result if it loads. Raises Failure for anything but that or one line."""
    protocol = rng.choice(seed.protocols)
    wants_modules = rng.random() < 0.1
    started = time.perf_counter()
    try:
        image = load(
            path,
            protocol=protocol,
            command_line="x" * rng.choice((0, 0, 0, 80, 5000)),
            modules=f"{modules} argument,{modules}" if wants_modules else "",
            drives=Drives((None, str(modules))) if rng.random() < 0.1 else Drives(),
            ram_bytes=RAM_BYTES,
        )
    except TrapgateError as error:
        message = str(error)
        if "\n" in message or not message or len(message) > LONGEST_MESSAGE:
            raise Failure(f"not one line: {message!r}") from error
        return None
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    finally:
        seconds = time.perf_counter() - started
    if seconds > SLOWEST_SECONDS:
        raise Failure(f"took {seconds:.1f} s")
    _check_placement(image)
    return image


def _check_placement(image: BootImage) -> None:
    """Everything lies in memory, in order, without overlaps."""
    end = 0
    for address, data in image.segments:
        if address < end or not data:
            raise Failure(f"a part at {address:#x} overlaps or is empty")
        end = address + len(data)
    if end > RAM_BYTES:
        raise Failure(f"a part ends at {end:#x}, beyond memory")


def execute(image: BootImage) -> str:
    """Run an image for a while under both techniques; why the first one stopped."""
    from hypervisor.technique import available_techniques

    reasons = []
    for technique in available_techniques().values():
        machine = technique(RAM_BYTES, devices=image.devices)
        machine.boot(image)
        reasons.append(str(machine.run(RUN_INSTRUCTIONS).reason))
    return reasons[0]


def run(count: int, seed: int, *, executes: bool = True) -> Counter[str]:
    """Mutate `count` images; what became of them. Raises Failure with the place of the image."""
    rng = random.Random(seed)
    results: Counter[str] = Counter()
    kinds = seeds()
    with tempfile.TemporaryDirectory() as folder:
        path, modules = Path(folder) / "image", Path(folder) / "module"
        modules.write_bytes(b"module" * 1000)
        for number in range(count):
            kind = rng.choice(kinds)
            data = mutated(kind, rng)
            path.write_bytes(data)
            try:
                image = check(path, kind, rng, modules)
                results["loaded" if image is not None else "refused"] += 1
                if image is not None and executes and results["loaded"] % RUN_EVERY == 0:
                    results[execute(image)] += 1
            except Exception as error:
                raise Failure(
                    f"{kind.name}, number {number} of seed {seed}: {error}; image kept as"
                    f" {_keep(data, seed, number)}"
                ) from error
    return results


def _keep(data: bytes, seed: int, number: int) -> Path:
    path = Path(tempfile.gettempdir()) / f"trapgate-image-{seed}-{number}.bin"
    path.write_bytes(data)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print what became of the images."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.images", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        results = run(options.count, options.seed)
    except Failure as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{what} {number:,}" for what, number in sorted(results.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
