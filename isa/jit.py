"""numba configured once: the decorator, the cache folder, and unaligned memory access.

Nothing else in the project chooses compiler options. With NUMBA_DISABLE_JIT=1 everything below is
plain Python with the same results, which is what the unit tests and coverage use.

The cache folder is named by a digest of every source that can end up in compiled code, because
numba's own cache does not notice a changed callee in another module.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

_CONFIG: Final[Any] = numba.config
ENABLED: Final[bool] = not _CONFIG.DISABLE_JIT
CHECKED: Final[bool] = bool(_CONFIG.BOUNDSCHECK)

_unliteral: Final[Any] = types.unliteral

_ROOT: Final = Path(__file__).resolve().parent.parent


_IMPORT: Final = re.compile(r"^ *from (isa[.\w]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_MODULE: Final = re.compile(r"\w+(?= as |,|\s|\)|$)")


def compiled_sources() -> dict[str, bytes]:
    """The sources compiled code may come from: those with jitted functions, and what they import.

    Path relative to the project -> contents.
    """
    found: dict[str, bytes] = {}
    waiting = [
        path
        for folder in ("isa", "hypervisor/resident")
        for path in (_ROOT / folder).rglob("*.py")
        if b"\n@jit" in path.read_bytes() or path.name == "jit.py"
    ]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(_ROOT).as_posix()
        if name in found:
            continue
        found[name] = path.read_bytes()
        for module, names in _IMPORT.findall(found[name].decode()):
            parts = [module, *(f"{module}.{part}" for part in _MODULE.findall(names))]
            for part in parts:
                source = _ROOT / (part.replace(".", "/") + ".py")
                if source.is_file():
                    waiting.append(source)
    return found


def source_digest() -> str:
    """Digest of all sources that compiled code may come from, and of what changes its meaning."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {CHECKED}".encode())
    for name, contents in sorted(compiled_sources().items()):
        digest.update(name.encode())
        digest.update(contents)
    return digest.hexdigest()[:16]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def cache_folder() -> Path:
    """The folder compiled code is kept in: beside the sources, or the user's cache if read-only.

    TRAPGATE_CACHE names another parent folder.
    """
    chosen = os.environ.get("TRAPGATE_CACHE")
    parents = [Path(chosen)] if chosen else [_ROOT / ".numba_cache"]
    parents.append(Path.home() / ".cache" / "trapgate")
    for parent in parents:
        if _writable(parent):
            return parent / source_digest()
    return Path(".numba_cache") / source_digest()


CACHE_FOLDER: Final = cache_folder()
if ENABLED:
    with contextlib.suppress(OSError):
        CACHE_FOLDER.mkdir(parents=True, exist_ok=True)
    _CONFIG.CACHE_DIR = str(CACHE_FOLDER)


def _one_specialisation(dispatcher: Any) -> Any:
    """Make constants in calls count as int64, so that a function is compiled once.

    numba would compile another version of a callee for every constant argument. The hook is
    private to numba; without it the project still works, only compiling longer.
    """
    original = getattr(dispatcher, "get_call_template", None)
    if original is not None:

        def widened(args: Any, kws: Any) -> Any:
            wide = tuple(_widen(a) for a in args)
            return original(wide, {name: _widen(a) for name, a in kws.items()})

        dispatcher.get_call_template = widened
    return dispatcher


def _widen(kind: Any) -> Any:
    kind = _unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer | types.Boolean) else kind


def _compiled(function: F, **more: Any) -> F:
    """Compile without reference counting, if this numba can.

    No compiled function allocates, and counting the arrays passed around costs a factor of 1.2 to
    2. The option is private to numba; without it the project still works.
    """
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, **more}
    decorate: Any = numba.njit
    try:
        dispatcher = decorate(_nrt=False, **options)(function)
    except (KeyError, TypeError):
        dispatcher = decorate(**options)(function)
    return _one_specialisation(dispatcher)  # type: ignore[no-any-return]


def jit(function: F) -> F:
    """Compile a function of the machine; typed as the identity, so that mypy sees its signature."""
    return _compiled(function)


def inline(function: F) -> F:
    """Like `jit`, for the small helpers that must be merged into the interpreter's loop."""
    return _compiled(function, forceinline=True)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Address of the first element of an array, or of what a pointer points to."""
    if isinstance(kind, types.CPointer):
        return value
    return context.make_array(kind)(context, builder, value).data


def _address() -> Any:
    def typed(_context: Any, array: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _data(context, builder, signature.args[0], args[0])

        made: Any = types.CPointer
        return made(array.dtype)(array), generate

    return intrinsic(typed)


def _load(bits: int) -> Any:
    def typed(_context: Any, array: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = _data(context, builder, signature.args[0], args[0])
            pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(bits).as_pointer())
            value = builder.load(pointer)
            value.align = 1
            return builder.zext(value, ir.IntType(64))

        return types.int64(array, types.int64), generate

    return intrinsic(typed)


def _store(bits: int) -> Any:
    def typed(_context: Any, array: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = _data(context, builder, signature.args[0], args[0])
            pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(bits).as_pointer())
            builder.store(builder.trunc(args[2], ir.IntType(bits)), pointer).align = 1
            return context.get_dummy_value()

        return types.void(array, types.int64, types.int64), generate

    return intrinsic(typed)


if ENABLED:
    _pointer = _address()
    _load8, _load16, _load32 = _load(8), _load(16), _load(32)
    _store8, _store16, _store32 = _store(8), _store(16), _store(32)
else:

    def _pointer(array: Any) -> Any:
        return array

    def _load8(array: Any, index: int) -> int:
        return int(array[index])

    def _store8(array: Any, index: int, value: int) -> None:
        array[index] = value & 0xFF

    def _load16(array: Any, index: int) -> int:
        return int(array[index]) | int(array[index + 1]) << 8

    def _load32(array: Any, index: int) -> int:
        return int.from_bytes(array[index : index + 4].tobytes(), "little")

    def _store16(array: Any, index: int, value: int) -> None:
        array[index] = value & 0xFF
        array[index + 1] = value >> 8 & 0xFF

    def _store32(array: Any, index: int, value: int) -> None:
        data = int(value & 0xFFFFFFFF).to_bytes(4, "little")
        array[index : index + 4] = np.frombuffer(data, np.uint8)


@inline
def pointer(array: Any) -> Any:
    """An array as compiled code passes it on: one machine word instead of seven.

    Calls with four arrays would otherwise spend most of their time copying arguments, and numba
    would look for a negative index at every access. Where bounds are checked it stays an array.
    """
    if CHECKED:  # not one expression: numba returns arrays only by the argument's own name
        return array
    return _pointer(array)


@inline
def load8(array: Any, index: int) -> int:
    """8-bit load. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 1 > array.size):
        raise IndexError("load8 outside its array")
    return _load8(array, index)  # type: ignore[no-any-return]


@inline
def store8(array: Any, index: int, value: int) -> None:
    """8-bit store. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 1 > array.size):
        raise IndexError("store8 outside its array")
    _store8(array, index, value)


@inline
def load16(array: Any, index: int) -> int:
    """Little-endian 16-bit load at any alignment. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 2 > array.size):
        raise IndexError("load16 outside its array")
    return _load16(array, index)  # type: ignore[no-any-return]


@inline
def load32(array: Any, index: int) -> int:
    """Little-endian 32-bit load at any alignment. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 4 > array.size):
        raise IndexError("load32 outside its array")
    return _load32(array, index)  # type: ignore[no-any-return]


@inline
def store16(array: Any, index: int, value: int) -> None:
    """Little-endian 16-bit store at any alignment. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 2 > array.size):
        raise IndexError("store16 outside its array")
    _store16(array, index, value)


@inline
def store32(array: Any, index: int, value: int) -> None:
    """Little-endian 32-bit store at any alignment. The caller has checked the index."""
    if CHECKED and (index < 0 or index + 4 > array.size):
        raise IndexError("store32 outside its array")
    _store32(array, index, value)
