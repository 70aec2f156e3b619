# SPDX-License-Identifier: BSD-2-Clause
"""Checks what this host must have, and prints or runs the command that installs it.

Standard library only.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestration.base.arch import ARCHES, Arch
from orchestration.base.errors import InfrastructureError, MissingError

# Needed by the command line itself.
FIRST = ["python3-venv", "util-linux"]
# Debian packages, with what each is for. Linux's own build needs the group "Linux".
PACKAGES = {
    "orchestration": FIRST,
    "kernel and servers": ["meson", "ninja-build", "python3-yaml"],
    "Linux": ["gcc", "libc6-dev", "make", "linux-source-6.12", "xz-utils", "patch", "flex", "bison", "bc", "perl",
              "libelf-dev", "libssl-dev", "kmod", "cpio", "rsync", "ccache"],
    "root file system": ["mmdebstrap", "fakeroot", "e2fsprogs", "debian-archive-keyring"],
}
# Needed by ./orchestrate test only.
TEST_PACKAGES = ["gdb-multiarch"]
# Names of packages in older Debian versions.
OLDER_NAMES = {"12": {"qemu-system-riscv": "qemu-system-misc"}}
# Bytes: Linux's tree with its objects; a run, with what its guest writes to the disk.
SPACE_NEEDED, SPACE_OF_RUN = 6 << 30, 512 << 20
# errno of a file system that is full, and of a file that this user may not write.
FULL, REFUSED = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)
# Seconds; slow mirrors need that long.
APT_LIMIT = 1800


def cache_root() -> Path:
    """Return the cache folder. Everything in it can be built again."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "quoll"


def data_root() -> Path:
    """Return the folder of what nothing can build again: results, persistent disks."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "quoll"


def debian_version() -> str:
    """Return the release's number, or an empty string for one that has none yet."""
    lines = Path("/etc/os-release").read_text().splitlines() if Path("/etc/os-release").exists() else []
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_ID=")), "")


def native_architecture() -> str:
    """Return this machine's architecture as Debian calls it; raise MissingError when this is no Debian."""
    try:
        return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True,
                              check=True).stdout.strip()
    except FileNotFoundError as error:
        raise MissingError("dpkg is not there: this is no Debian system", "use Debian 12 or 13") from error


def wanted_packages(arches: Iterable[Arch], tests: bool = False) -> list[str]:
    """Return the Debian packages, each once, that these architectures need on this host; tests: for tests as well."""
    native, renamed = native_architecture(), OLDER_NAMES.get(debian_version(), {})
    wanted = [package for group in PACKAGES.values() for package in group]
    for arch in arches:
        wanted += arch.packages
        if arch.debian != native:
            wanted += [f"gcc-{arch.prefix.replace('_', '-')}".rstrip("-"), f"libc6-dev-{arch.debian}-cross"]
    if tests:
        wanted += TEST_PACKAGES
    return list(dict.fromkeys(renamed.get(package, package) for package in wanted))


# States of a package whose files can be used. The last two are for the time in which apt installs another one: ccache
# has them while a compiler comes.
USABLE = ("installed", "triggers-pending", "triggers-awaited")


def missing_packages(wanted: list[str]) -> list[str]:
    """Return those of the Debian packages that are not installed; raise MissingError when this is no Debian."""
    try:
        done = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *wanted],
                              capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingError("dpkg-query is not there: this is no Debian system",
                           "use Debian 12 or 13") from error
    states = (line.split() for line in done.stdout.splitlines())
    installed = {words[0] for words in states if words[1:] and words[1] in USABLE}
    if importlib.util.find_spec("ensurepip") is not None:
        installed.add("python3-venv")
    return [package for package in wanted if package not in installed]


def install_command(packages: list[str]) -> list[str]:
    """Return the argument vector that installs packages, without sudo."""
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def shown_command(packages: list[str]) -> str:
    """Return the shell line that a user can paste."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get update && {sudo}{' '.join(install_command(packages))}"


def privilege() -> list[str] | None:
    """Return the words that run a command as root (sudo), or None without a way to become root."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n"]
    return ["sudo"] if sys.stdin.isatty() else None


def install(packages: list[str]) -> None:
    """Install packages by apt, or raise MissingError with the command that would."""
    prefix = privilege()
    if prefix is None:
        raise MissingError(f"missing Debian packages: {' '.join(packages)}",
                           f"run: {shown_command(packages)}")
    print(f"installing {len(packages)} Debian packages: {' '.join(packages)}", file=sys.stderr, flush=True)
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    for command in (["apt-get", "-qq", "update"], install_command(packages)):
        try:
            done = subprocess.run([*environment, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False, timeout=APT_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise InfrastructureError(f"{' '.join(command[:3])} did not end in {APT_LIMIT} s",
                                      "see whether the package mirror answers") from error
        # A failed update may concern another source than ours; the installation decides.
        if done.returncode and command[-1] != "update":
            raise MissingError("apt-get could not install what is missing",
                               f"run: {shown_command(packages)}", tuple(done.stdout.splitlines()[-12:]))


def ensure_packages(wanted: list[str]) -> None:
    """Install those of the packages that are missing."""
    packages = missing_packages(wanted)
    if packages:
        install(packages)
        packages = missing_packages(wanted)
        if packages:
            raise MissingError(f"still missing after apt-get: {' '.join(packages)}",
                               f"run: {shown_command(packages)}")


def ensure(arches: Iterable[Arch], tests: bool = False) -> None:
    """Install the missing packages for these architectures; tests: those for tests as well."""
    ensure_packages(wanted_packages(arches, tests))


def free_space(path: Path) -> int:
    """Return the free bytes of the file system that holds, or will hold, path."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_space(needed: int = SPACE_OF_RUN) -> None:
    """Raise InfrastructureError when the cache's file system is nearly full."""
    free = free_space(cache_root())
    if free < needed:
        raise InfrastructureError(
            f"only {free >> 20} MiB are free for {cache_root()}, {needed >> 20} MiB are needed",
            "make room, or set XDG_CACHE_HOME to a folder on a larger file system")


def refused(error: OSError) -> InfrastructureError | None:
    """Return the error to print for a full or refused file; None for any other OSError, which may be a bug."""
    place = f" at {error.filename}" if error.filename else ""
    cache = cache_root()
    if error.errno in FULL:
        return InfrastructureError(f"no space left{place}: {error.strerror}", "make room, or set XDG_CACHE_HOME")
    if error.errno in REFUSED and error.filename:
        hint = (f"if that was made by root: sudo chown -R $(id -un) {cache}; or set XDG_CACHE_HOME"
                if error.errno != errno.EROFS else "set XDG_CACHE_HOME to a folder you may write to")
        inside = str(error.filename).startswith(str(cache))
        return InfrastructureError(f"cannot use {error.filename}: {error.strerror}", hint if inside else "")
    return None


def accelerator() -> str:
    """Return one line about /dev/kvm."""
    if not Path("/dev/kvm").exists():
        return "no /dev/kvm: emulation (TCG) only, which is the default"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is there but not accessible to this user; the default is emulation (TCG)"
    return "/dev/kvm is there; it is used only with --accel kvm, and after our own probe has run under it"


def report(mend: bool, arches: Iterable[Arch] = tuple(ARCHES.values())) -> int:
    """Print the state of this host; return 0, or the exit code of the first problem. mend: install packages."""
    chosen = list(arches)
    wanted = wanted_packages(chosen, tests=True)
    if mend:
        ensure_packages(wanted)
    packages = missing_packages(wanted)
    free = free_space(cache_root())
    print(f"python     {sys.version.split()[0]} ({sys.executable})")
    print(f"targets    {' '.join(arch.name for arch in chosen)}")
    print(f"packages   {'complete' if not packages else 'missing: ' + ' '.join(packages)}")
    print(f"cache      {cache_root()}, {free >> 20} MiB free{'' if free >= SPACE_NEEDED else ': too little'}")
    print(f"machine    {accelerator()}")
    if packages:
        print(f"mend by    {shown_command(packages)}")
        return MissingError.exit_code
    if free < SPACE_NEEDED:
        print(f"mend by    making room: {SPACE_NEEDED >> 20} MiB are needed, or set XDG_CACHE_HOME")
        return InfrastructureError.exit_code
    return 0
