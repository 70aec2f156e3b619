# SPDX-License-Identifier: BSD-2-Clause
"""Makes Debian's root file system as a tar file: mmdebstrap runs the packages' scripts, foreign ones under qemu-user.

All of it happens in a user namespace of its own (namespace.py), for root as well, with a binfmt_misc of its own for
another architecture's programs. QEMU's program comes from Debian's package, unpacked into the cache: nothing is
registered on the host, and nothing installed but newuidmap for users other than root.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from orchestration.base import doctor, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import MANIFEST, Cache, key_of, noted_hash
from orchestration.base.errors import InfrastructureError, MissingError, QuollError, UsageError
from orchestration.base.ownership import PREFIX, OwnFolder, temporary
from orchestration.build import namespace, rootfs

FOLDER = rootfs.FOLDER / "debian"
KIND, ARCHIVE = "debian", "debian.tar"
# The suites that change daily, of which a mirror may lag behind in one architecture: Debian is then made without them.
DAILY = {f"{rootfs.SUITE}-security": f"deb http://deb.debian.org/debian-security {rootfs.SUITE}-security main",
         f"{rootfs.SUITE}-updates": f"deb http://deb.debian.org/debian {rootfs.SUITE}-updates main"}
# apt's words for a list of packages that it cannot get, or that is not the one that the suite names; and the suite.
NO_LIST = re.compile(r"^E: Failed to fetch \S+/dists/([^/\s]+)/")
# A file of the cache entry: the suites that the archive was made without, one a line.
WITHOUT = "without"
# The day of trixie: files that are made now have this time, so that the same packages make the same archive.
EPOCH = 1754697600
# mmdebstrap's options: a minimal system, whose packages' scripts run here whatever architecture they are for.
OPTIONS = ("--mode=root", "--variant=minbase", "--skip=check/qemu", "--format=tar", "--dpkgopt=force-unsafe-io")
# Units that packages leave off and that the machine's network needs.
ENABLE = 'chroot "$1" systemctl enable systemd-networkd.service'
# Seconds. Scripts of packages under qemu-user, fetched from a slow mirror.
MAKE_LIMIT = 3600
# Bytes: the system unpacked, its archives, the tar file.
SPACE_NEEDED = 3 << 30
# apt's words for packages that do not exist, and the name in them.
NO_PACKAGE = (re.compile(r"Unable to locate package ([^\s]+)"),
              re.compile(r"Package '?([^\s']+)'? has no installation candidate"),
              re.compile(r"Couldn't find any package by (?:glob|regex) '([^']+)'"))
# Of a log, that may tell why mmdebstrap failed.
LOG_LINES = 400
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def packages(include: tuple[str, ...]) -> list[str]:
    """Return the names of the packages beyond the minimal system; raise UsageError for one that can be none."""
    for name in include:
        if not NAME.fullmatch(name):
            raise UsageError(f"--include: '{name}' is no name of a Debian package",
                             "lower-case letters, digits, + - and . only; one name each")
    return sorted({*(FOLDER / "packages").read_text().split(), *include})


def emulator(arch: Arch, cache: Cache) -> Path:
    """Return the static qemu-user that runs an architecture's programs on this host."""
    name = f"qemu-{arch.name}"
    archive = rootfs.unpacked(doctor.native_architecture(), cache, ["qemu-user"], "qemu-user.log")

    def make(entry: Path) -> None:
        tools.run(["tar", "--force-local", "-C", str(entry), "--strip-components=3", "-xf", str(archive),
                   f"./usr/bin/{name}"], cache.root / "build/qemu-user.log", f"unpacking {name}", rootfs.PACK_LIMIT)

    return cache.get("qemu-user", key_of(name, archive.parent.name), make) / name


def prefix(arch: Arch, cache: Cache) -> list[str]:
    """Return the words before a command that make it root of its namespace, where arch's programs run."""
    if os.geteuid() != 0:
        doctor.ensure_packages(["uidmap"])
    words = [sys.executable, "-I", namespace.__file__]
    if doctor.native_architecture() != arch.debian:
        from elftools.elf.enums import ENUM_E_MACHINE

        words += ["--emulate", arch.name, str(ENUM_E_MACHINE[arch.elf_machine]), str(emulator(arch, cache))]
    return [*words, "--"]


def unknown_packages(lines: tuple[str, ...]) -> list[str]:
    """Return the names of packages that apt does not know, by its messages."""
    return sorted({match.group(1) for line in lines for pattern in NO_PACKAGE if (match := pattern.search(line))})


def refusal(lines: tuple[str, ...]) -> str:
    """Return why the host did not let namespace.py do its work, or nothing."""
    return next((line.removeprefix(namespace.REASON) for line in lines if line.startswith(namespace.REASON)), "")


def key(arch: Arch, include: tuple[str, ...]) -> str:
    """Return the key of the cache entry with the tar file."""
    return key_of(rootfs.SUITE, arch.debian, *packages(include), *OPTIONS, ENABLE, str(EPOCH))


def unusable_suites(lines: tuple[str, ...]) -> set[str]:
    """Return the suites whose lists apt could not get, by its messages."""
    return {match.group(1) for line in lines if (match := NO_LIST.match(line))}


def content(arch: Arch, cache: Cache, include: tuple[str, ...]) -> str:
    """Return the hash of the tar file that is in the cache, made if need be; the file itself is not read.

    Say each time which suites' updates are not in it.
    """
    entry = cache.folder(KIND, key(arch, include))
    if not (entry / MANIFEST).exists():
        entry = archive(arch, cache, include).parent
    if (entry / WITHOUT).exists():
        suites = " and ".join((entry / WITHOUT).read_text().split())
        cache.say(f"this Debian for {arch.debian} was made without {suites}, which its mirror did not have: upgrade it "
                  f"in the guest, or have it made anew: rm -r {entry}")
    return noted_hash(entry / ARCHIVE)


def archive(arch: Arch, cache: Cache, include: tuple[str, ...]) -> Path:
    """Return the tar file of Debian with its packages configured.

    Raises UsageError for a package that does not exist, MissingError where this host forbids what is needed.
    """
    names = packages(include)
    log = cache.root / "build" / f"debian-{arch.name}.log"

    def make(entry: Path) -> None:
        doctor.check_space(SPACE_NEEDED)
        words = prefix(arch, cache)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        suites = dict(DAILY)
        while not (entry / ARCHIVE).exists():
            try:
                build(arch, words, names, (rootfs.RELEASE, *suites.values()), entry / ARCHIVE, cache, log)
            except QuollError as error:
                (entry / ARCHIVE).unlink(missing_ok=True)
                lines = tools.tail(log, LOG_LINES)
                explain(arch, lines, include)
                missing = unusable_suites(lines)
                # Another reason than the suites that one can do without would be there the next time, too.
                if rootfs.SUITE in missing or not missing & suites.keys():
                    raise InfrastructureError(
                        f"cannot make Debian {rootfs.SUITE} for {arch.debian}: {error.message}",
                        f"see whether apt reaches its mirror, and {log}", error.details) from error
                suites = {name: line for name, line in suites.items() if name not in missing}
        if missing := DAILY.keys() - suites.keys():
            (entry / WITHOUT).write_text("".join(f"{name}\n" for name in sorted(missing)))

    return cache.get(KIND, key(arch, include), make) / ARCHIVE


def explain(arch: Arch, lines: tuple[str, ...], include: tuple[str, ...]) -> None:
    """Raise the error that the log's lines explain, if they do."""
    if reason := refusal(lines):
        raise MissingError(f"Debian for {arch.name} cannot be made here: {reason}",
                           "a root file system made elsewhere boots too: --rootfs FILE")
    if unknown := unknown_packages(lines):
        raise UsageError(f"Debian {rootfs.SUITE} has no {', '.join(unknown)} for {arch.debian}",
                         "mend --include" if set(unknown) & set(include) else "mend rootfs/debian/packages")


def build(arch: Arch, words: list[str], names: list[str], sources: tuple[str, ...], target: Path, cache: Cache,
          log: Path) -> None:
    """Run mmdebstrap once; as root by sudo, where there is one, when this user gets no namespace."""
    with OwnFolder(temporary(), PREFIX) as folder:
        # apt downloads as user _apt.
        folder.chmod(0o711)
        argv = ["env", f"TMPDIR={folder}", f"SOURCE_DATE_EPOCH={EPOCH}", "LC_ALL=C.UTF-8", *words, "mmdebstrap",
                *OPTIONS, f"--architectures={arch.debian}", f"--include={','.join(names)}",
                f"--customize-hook={ENABLE}", rootfs.SUITE, str(target), *sources]
        what = f"making Debian {rootfs.SUITE} for {arch.debian}"
        try:
            tools.run(argv, log, what, MAKE_LIMIT, tell=cache.doing)
        except QuollError:
            reason, root = refusal(tools.tail(log, LOG_LINES)), doctor.privilege()
            if not (reason and root):
                raise
            cache.say(f"{reason}; making Debian by {root[0]}")
            log.write_text("")
            tools.run([*root, *argv], log, what, MAKE_LIMIT, tell=cache.doing)
