"""No name leads out of the root: by "..", absolute paths, links, devices, pipes or other mounts."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.process.errors import CallError, Errno
from hypervisor.process.path_tree import PathTree
from isa.errors import TrapgateError

SECRET = b"outside"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A root with everything in it that could lead out, and a secret beside it."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "secret").write_bytes(SECRET)
    root = folder / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "file").write_text("inside")
    (root / "a" / "file").write_text("inside too")
    for name, target in (
        ("up", ".."),
        ("out", "../secret"),
        ("abs", str(folder / "secret")),
        ("host", "/"),
        ("a/up", "../.."),
        ("a/b/root", "/"),
        ("loop", "loop"),
        ("dangling", "nowhere/at/all"),
        ("good", "a/file"),
        ("slash", "a/b/../../file"),
    ):
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return root


def opened(tree: PathTree, path: bytes, start: tuple[bytes, ...] = ()) -> bytes:
    """What a program that opens a name reads."""
    with tree.resolve(start, path) as entry:
        if entry.found is None:
            raise CallError(Errno.ENOENT)
        file = tree.open_entry(entry, os.O_RDONLY, 0)
    if entry.is_directory:
        return b"a directory"
    return os.read(file.fd, 100)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"file", b"inside"),
        (b"/file", b"inside"),
        (b"../../file", b"inside"),
        (b"up/up/file", b"inside"),
        (b"a/b/root/file", b"inside"),
        (b"host/file", b"inside"),
        (b"good", b"inside too"),
        (b"slash", b"inside"),
        (b"a/up/up/a/./b/../file", b"inside too"),
        (b"a/", b"a directory"),
        (b"up", b"a directory"),
        (b"out", Errno.ENOENT),
        (b"abs", Errno.ENOENT),
        (b"../secret", Errno.ENOENT),
        (b"file/", Errno.ENOTDIR),
        (b"file/x", Errno.ENOTDIR),
        (b"loop", Errno.ELOOP),
        (b"dangling", Errno.ENOENT),
        (b"fifo", Errno.EACCES),
        (b"", Errno.ENOENT),
        (b"x" * 300, Errno.ENAMETOOLONG),
        (b"a/" * 3000, Errno.ENAMETOOLONG),
    ],
)
def test_where_a_name_leads(place, path, found):
    tree = PathTree(str(place), is_writable=False)
    if isinstance(found, bytes):
        assert opened(tree, path) == found
    else:
        with pytest.raises(CallError) as error:
            opened(tree, path)
        assert error.value.number is found


PARTS = ["..", ".", "", "a", "b", "up", "out", "abs", "host", "root", "file", "secret", "good"]


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.booleans())
def test_no_name_reaches_the_secret(place, parts, is_absolute):
    tree = PathTree(str(place), is_writable=False)
    path = ("/" if is_absolute else "") + "/".join(parts)
    try:
        found = opened(tree, os.fsencode(path), (b"a",))
    except CallError as error:
        found = error.number.name.encode()
    assert found in (b"inside", b"inside too", b"a directory", b"ENOENT", b"ENOTDIR")


def test_resolving_leaves_no_descriptor_open(place):
    tree = PathTree(str(place), is_writable=False)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    chooser = random.Random(1)
    for _ in range(200):
        path = "/".join(chooser.choices(PARTS, k=8))
        try:
            opened(tree, os.fsencode(path))
        except CallError:
            continue
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_devices_and_the_hosts_processes_are_not_files(tmp_path):
    tree = PathTree("/", is_writable=False)
    for path in (b"/proc/self/mem", b"/proc/self/root/etc", b"/dev/zero", b"/sys/kernel"):
        with pytest.raises(CallError):
            opened(tree, path)


def test_a_root_must_be_a_folder_of_plain_files(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(TrapgateError, match="--root"):
            PathTree(str(root), is_writable=False)
    if Path("/proc/self").exists():
        with pytest.raises(TrapgateError, match="plain files"):
            PathTree("/proc", is_writable=False)
