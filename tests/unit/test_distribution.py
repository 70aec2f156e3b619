# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel as a peer of the bench: what is taken out of its package, and where it is refused."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import MissingError, UsageError
from orchestration.bench import distribution
from orchestration.build import rootfs

X86 = ARCHES["x86_64"]
VERSION = "6.12.1+deb13-cloud-amd64"


def package(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "packages.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_kernel_and_modules_come_from_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = f"lib/modules/{VERSION}/kernel/drivers/block/virtio_blk.ko.xz"
    made = package(tmp_path, {f"./boot/vmlinuz-{VERSION}": b"kernel", f"./boot/config-{VERSION}": b"CONFIG_A=y\n",
                              f"./usr/{driver}": lzma.compress(b"driver"), "./usr/bin/busybox": b"no"})
    monkeypatch.setattr(rootfs, "unpacked", lambda *ignored: made)
    found = distribution.unpacked(X86, Cache(tmp_path / "cache"))
    assert (found / "vmlinuz").read_bytes() == b"kernel"
    assert (found / "virtio_blk.ko").read_bytes() == b"driver"
    with tarfile.open(found / "modules.tar") as modules:
        assert modules.getnames() == [driver]


def test_a_package_without_the_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(tmp_path, {f"./boot/vmlinuz-{VERSION}": b"kernel", f"./boot/config-{VERSION}": b""})
    monkeypatch.setattr(rootfs, "unpacked", lambda *ignored: made)
    with pytest.raises(MissingError, match=r"linux-image-cloud-amd64 lacks one of .*virtio_blk\.ko"):
        distribution.unpacked(X86, Cache(tmp_path / "cache"))


@pytest.mark.parametrize(("arch", "root", "said"), [("x86_64", "tiny", "for workloads on Debian"),
                                                    ("riscv64", "debian", "measured on x86_64 only")])
def test_it_is_refused_elsewhere(arch: str, root: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        distribution.check(ARCHES[arch], root)
    distribution.check(X86, "debian")
