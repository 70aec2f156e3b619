# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's argument vector of a machine."""

from __future__ import annotations

from pathlib import Path

from orchestration.base.arch import Arch
from orchestration.machine import shares
from orchestration.machine.config import LARGE, MIB, Config
from orchestration.machine.serial import NAME as SERIAL

# QEMU's option for a machine that waits for the monitor's cont.
PAUSED = "-S"


def value(path: Path | str) -> str:
    """Return a path as a value among QEMU's options, where a comma ends it."""
    return str(path).replace(",", ",,")


def forward(host: int, guest: int) -> str:
    """Return the option of a network by which a port of the host's loopback interface leads to one of the guest."""
    return f"hostfwd=tcp:127.0.0.1:{host}-:{guest}"


def arguments(arch: Arch, config: Config, sockets: Path | None, port: int) -> list[str]:
    """Return QEMU's argument vector. Without sockets it is one for a terminal: serial line and monitor are there.

    With sockets the machine waits for cont, which spawn() gives when it holds every end.
    """
    ends = ["-serial", "mon:stdio"] if sockets is None else [
        "-chardev", f"pipe,id=serial,path={value(sockets)}/{SERIAL}", "-serial", "chardev:serial",
        "-chardev", f"socket,id=monitor,path={value(sockets)}/monitor", "-mon", "chardev=monitor,mode=control",
        "-gdb", f"unix:{value(sockets)}/gdb,server=on,wait=off", PAUSED]
    backed = []
    if config.ram is not None:
        share = "on" if config.incoming is None else "off"
        backed = ["-object", f"memory-backend-file,id=ram,size={config.memory},mem-path={value(config.ram)},"
                             f"share={share}"]
    machine = arch.machine + (arch.large_memory if config.memory > LARGE else "") + (
        ",memory-backend=ram" if backed else "")
    argv = [arch.qemu, "-M", machine, *backed, "-cpu", "host" if config.accel == "kvm" else arch.cpu,
            "-accel", config.accel,
            "-m", f"{config.memory // MIB}M", "-smp", str(config.cpus),
            "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", *ends, "-kernel", str(config.kernel)]
    if config.initrd is not None:
        argv += ["-initrd", str(config.initrd)]
    if config.append:
        argv += ["-append", config.append]
    if config.disk is not None:
        argv += ["-drive", f"if=none,id=hd0,format=raw,file={value(config.disk)}",
                 "-device", "virtio-blk-pci,drive=hd0,disable-legacy=on"]
    if config.network:
        forwards = "".join(f",{forward(one.host, one.guest)}" for one in config.ports)
        argv += ["-netdev", f"user,id=n0,{forward(port, 22)}{forwards}",
                 "-device", "virtio-net-pci,netdev=n0,disable-legacy=on,romfile="]
    for number, disk in enumerate(config.disks, 1):
        mode = ",readonly=on" if disk.read_only else ""
        argv += ["-drive", f"if=none,id=hd{number},format=raw,file={value(disk.file)}{mode}",
                 "-device", f"virtio-blk-pci,drive=hd{number},disable-legacy=on"]
    if config.incoming is not None:
        argv += ["-incoming", "defer"]
    return [*argv, *shares.arguments(config.shares), *config.extra]
