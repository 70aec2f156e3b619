# SPDX-License-Identifier: BSD-2-Clause
"""Debian's own kernel as a peer: what is taken out of its package, and where it is refused."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from orchestration.base.arch import ARCHES
from orchestration.base.cache import Cache
from orchestration.base.errors import MissingError, UsageError
from orchestration.bench import distribution as peer
from orchestration.build import distribution, initramfs, rootfs

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
    drivers = [f"lib/modules/{VERSION}/kernel/drivers/{name}.xz" for name in distribution.DRIVERS]
    made = package(tmp_path, {f"./boot/vmlinuz-{VERSION}": b"kernel", f"./boot/config-{VERSION}": b"CONFIG_A=y\n",
                              **{f"./usr/{name}": lzma.compress(b"driver") for name in drivers},
                              "./usr/bin/busybox": b"no"})
    monkeypatch.setattr(rootfs, "unpacked", lambda *ignored: made)
    found = distribution.unpacked(X86, Cache(tmp_path / "cache"))
    assert (found / "vmlinuz").read_bytes() == b"kernel"
    assert (found / "virtio_blk.ko").read_bytes() == b"driver"
    with tarfile.open(found / "modules.tar") as modules:
        assert modules.getnames() == [f"lib/modules/{VERSION}/config", *drivers]
        assert modules.extractfile(f"lib/modules/{VERSION}/config").read() == b"CONFIG_A=y\n"  # type: ignore[union-attr]
    assert distribution.release(found) == VERSION


def test_a_package_without_the_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(tmp_path, {f"./boot/vmlinuz-{VERSION}": b"kernel", f"./boot/config-{VERSION}": b""})
    monkeypatch.setattr(rootfs, "unpacked", lambda *ignored: made)
    said = r"linux-image-cloud-amd64 has no crc16\.ko, .*virtio_blk\.ko, failover\.ko, .*virtio_net\.ko"
    with pytest.raises(MissingError, match=said):
        distribution.unpacked(X86, Cache(tmp_path / "cache"))


def test_what_is_built_in_needs_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only drivers that the package has as modules are taken along; riscv64's kernel is called vmlinux."""
    lib = f"./usr/lib/modules/{VERSION}"
    built_in = [name for name in distribution.DRIVERS if not name.startswith("virtio")]
    made = package(tmp_path, {f"./boot/vmlinux-{VERSION}": b"kernel", f"./boot/config-{VERSION}": b"",
                              f"{lib}/modules.builtin": "".join(f"kernel/lib/{name}\n" for name in built_in).encode(),
                              **{f"{lib}/kernel/{name}.xz": lzma.compress(b"driver")
                                 for name in ("virtio_blk.ko", "virtio_net.ko")}})
    monkeypatch.setattr(rootfs, "unpacked", lambda *ignored: made)
    packed: dict[str, bytes] = {}
    monkeypatch.setattr(initramfs, "archive", lambda arch, cache, spec, files, more: packed.update(files))
    cache = Cache(tmp_path / "cache")
    found = distribution.unpacked(ARCHES["riscv64"], cache)
    assert (found / "vmlinuz").read_bytes() == b"kernel"
    distribution.first_files(ARCHES["riscv64"], cache, found)
    assert sorted(packed) == ["init", "virtio_blk.ko", "virtio_net.ko"]


def test_each_architecture_has_a_package() -> None:
    assert set(distribution.PACKAGES) == set(ARCHES)


def test_it_is_refused_without_debian() -> None:
    with pytest.raises(UsageError, match="for workloads on Debian"):
        peer.check("tiny")
    peer.check("debian")
