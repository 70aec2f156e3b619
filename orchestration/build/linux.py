# SPDX-License-Identifier: BSD-2-Clause
"""Builds Linux: Debian's source package, our series of patches, one configuration.

Trees are kept per content of tarball and series, so that a changed configuration or ABI builds on; what is
booted is a cache entry that is verified by its hashes.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestration.base import doctor, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, key_of, recipe
from orchestration.base.errors import BuildError, InfrastructureError, MissingError
from orchestration.base.tree import ROOT
from orchestration.build import quoll

TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")
PATCHES = ROOT / "l4linux-patches"
NATIVE_CONFIGS = ROOT / "orchestration" / "build" / "configs"
# Keeps time, user and host out of the image.
REPRODUCIBLE = {"KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_USER": "quoll",
                "KBUILD_BUILD_HOST": "quoll", "KBUILD_BUILD_VERSION": "1", "LC_ALL": "C"}
# What Linux' makefiles and make itself take for something else in a path.
UNSAFE = re.compile(r"[^\w@+,./-]")
# One line of a fragment or of a .config: an option with its value, or one that is not set.
OPTION = re.compile(r"^(?:(CONFIG_\w+)=(.*?)|# (CONFIG_\w+) is not set)[ \t]*$", re.MULTILINE)
ABI_HEADERS = ("abi.h", "abi_hash.h", "abi_msg.h", "abi_call.h")
UNPACK_LIMIT, PATCH_LIMIT, MAKE_LIMIT = 900, 60, 5400


@dataclass(frozen=True)
class Flavour:
    """A build of Linux: the guest (our port) or, for comparisons, the same source on the bare machine.

    configs are fragments, later ones win; base is the make target that fills in the rest.
    """

    name: str
    patched: bool
    make_arch: str
    configs: tuple[Path, ...]
    base: str
    image: str
    targets: tuple[str, ...]


def guest(arch: Arch, *, full: bool = False) -> Flavour:
    """Return the flavour that runs on L4: the small kernel of the tiny root file system, or the full one."""
    configs = [PATCHES / "configs/base.config", PATCHES / f"configs/{arch.name}.config"]
    if full:
        configs.append(PATCHES / "configs/full.config")
    return Flavour(f"l4-{arch.name}{'-full' if full else ''}", True, "l4", tuple(configs), "alldefconfig", "vmlinux",
                   ("vmlinux", "modules"))


def native(arch: Arch) -> Flavour:
    """Return the flavour that runs on the bare machine."""
    configs = (NATIVE_CONFIGS / "native.config", NATIVE_CONFIGS / f"native-{arch.name}.config")
    return Flavour(f"native-{arch.name}", False, arch.linux_arch, configs, "allnoconfig", arch.linux_image,
                   (Path(arch.linux_image).name,))


def series() -> list[Path]:
    """Return the patches in order; raise BuildError when one that is named is not there."""
    listed = PATCHES / "series"
    if not listed.exists():
        raise BuildError("l4linux-patches/series is missing", "see l4linux-patches/README.md")
    names = [line.split("#")[0].strip() for line in listed.read_text().splitlines()]
    patches = [PATCHES / "patches" / name for name in names if name]
    for patch in patches:
        if not patch.exists():
            raise BuildError(f"l4linux-patches/series names {patch.name}, which is not in patches/",
                             "add the patch or mend the series")
    return patches


def source_key(flavour: Flavour) -> str:
    """Return the key of an unpacked, patched tree."""
    if not TARBALL.exists():
        raise MissingError(f"{TARBALL} is missing", "run: ./orchestrate doctor --install")
    patches = series() if flavour.patched else []
    return key_of("source", *(patch.name for patch in patches), files=[TARBALL, *patches])


def apply(patch: Path, tree: Path, log: Path) -> None:
    """Apply one patch; raise BuildError that names it and shows what was rejected."""
    try:
        tools.run(["patch", "-p1", "--forward", "--batch", "-i", str(patch)], log, patch.name,
                  PATCH_LIMIT, cwd=tree)
    except BuildError as error:
        raise BuildError(f"the patch {patch.name} does not apply to {TARBALL.name}",
                         "l4linux-patches/BASE names the version that was tested; refresh the patch", error.details
                         ) from error


def unpack(cache: Cache, flavour: Flavour, key: str, log: Path) -> Path:
    """Return the patched tree. It and its objects always have the same paths, which ccache needs to know them again.

    A tree of another key goes with its objects: times of files that only came back say nothing about them.
    """
    parent = cache.root / "linux" / ("guest" if flavour.patched else "native")
    tree, stamp = parent / "source", parent / "source.key"
    if stamp.exists() and stamp.read_text() == key and tree.exists():
        return tree
    shutil.rmtree(parent, ignore_errors=True)
    fresh = parent / "unpacking"
    fresh.mkdir(parents=True)
    tools.run(["tar", "-xf", str(TARBALL), "-C", str(fresh), "--strip-components=1"], log,
              f"unpacking {TARBALL.name}", UNPACK_LIMIT)
    for patch in series() if flavour.patched else []:
        apply(patch, fresh, log)
    fresh.rename(tree)
    stamp.write_text(key)
    return tree


def abi_headers(arch: Arch) -> dict[str, str]:
    """Return the ABI's C headers that Linux includes; a change of the servers' protocols changes none of them."""
    headers = quoll.abi_headers(arch)
    return {name: headers[name] for name in ABI_HEADERS}


def check_path(path: Path) -> None:
    """Raise InfrastructureError when Linux cannot be built below a path."""
    bad = sorted(set(UNSAFE.findall(str(path))))
    if bad:
        raise InfrastructureError(f"Linux cannot be built in {path}: its makefiles take no {' '.join(map(repr, bad))} "
                                  "in a path", "set XDG_CACHE_HOME to another folder")


def make(arch: Arch, cache: Cache, flavour: Flavour, key: str, entry: Path) -> None:
    """Fill a cache entry with image, System.map, .config and modules.tar."""
    check_path(cache.root)
    doctor.check_space(doctor.SPACE_NEEDED)
    log = cache.root / "build" / f"linux-{flavour.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    # Architectures share a tree, each with its own objects; a build of one has all the CPUs anyway.
    with cache.lock(f"linux-{'guest' if flavour.patched else 'native'}"):
        tree = unpack(cache, flavour, key, log)
        objects = tree.parent / f"objects-{flavour.name}"
        # A make that was killed leaves objects that are newer than their sources and not whole.
        unfinished = tree.parent / f"{objects.name}.unfinished"
        if unfinished.exists():
            shutil.rmtree(objects, ignore_errors=True)
        objects.mkdir(exist_ok=True)
        abi = objects / "quoll-abi"
        abi.mkdir(exist_ok=True)
        for name, text in abi_headers(arch).items():
            if not (abi / name).exists() or (abi / name).read_text() != text:
                (abi / name).write_text(text)
        ccache = "ccache " if shutil.which("ccache") else ""
        command = ["make", "-C", str(tree), f"O={objects}", f"ARCH={flavour.make_arch}", f"QUOLL_ABI={abi}",
                   f"CROSS_COMPILE={arch.prefix}",
                   f"CC={ccache}{arch.compiler}", f"HOSTCC={ccache}gcc"]
        env = {**REPRODUCIBLE, "CCACHE_DIR": str(cache.root / "ccache"), "CCACHE_MAXSIZE": "2G"}
        jobs = f"-j{os.cpu_count() or 1}"
        wanted = objects / "wanted.config"
        wanted.write_text(merge(flavour.configs))
        tools.run([*command, f"KCONFIG_ALLCONFIG={wanted}", flavour.base], log, "Linux' configuration",
                  UNPACK_LIMIT, env=env, unfinished=unfinished)
        check_config(wanted, objects / ".config")
        tools.run([*command, jobs, *flavour.targets], log, "the build of Linux", MAKE_LIMIT, env=env,
                  unfinished=unfinished)
        stage = objects / "modules-root"
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
        if "modules" in flavour.targets:
            tools.run([*command, f"INSTALL_MOD_PATH={stage}", "INSTALL_MOD_STRIP=1", "DEPMOD=true",
                       "modules_install"], log, "the installation of modules", UNPACK_LIMIT, env=env)
            for link in [*stage.rglob("build"), *stage.rglob("source")]:
                link.unlink()
        tools.run(["tar", "-C", str(stage), "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-cf",
                   str(entry / "modules.tar"), "."], log, "packing the modules", UNPACK_LIMIT)
        for name in (flavour.image, "System.map", ".config"):
            shutil.copy2(objects / name, entry / Path(name).name.lstrip("."))


def options(text: str) -> dict[str, str]:
    """Return the options of a fragment or a .config and their values; "is not set" is n, and the last line wins."""
    return {name or unset: value or "n" for name, value, unset in OPTION.findall(text)}


def merge(fragments: tuple[Path, ...]) -> str:
    """Return the text of one fragment that sets what all of them set; later ones win."""
    merged = options("\n".join(path.read_text() for path in fragments))
    return "".join(f"{name}={value}\n" for name, value in merged.items())


def check_config(wanted: Path, got: Path) -> None:
    """Raise BuildError when the configuration lost an option that the fragment sets."""
    have = options(got.read_text())
    lost = [f"{name}={value}" for name, value in options(wanted.read_text()).items() if have.get(name, "n") != value]
    if lost:
        raise BuildError(f"Linux' configuration does not take {', '.join(lost[:5])}",
                         "its fragments miss a dependency of that option")


def linux(arch: Arch, cache: Cache, flavour: Flavour) -> Path:
    """Return the folder with the image, System.map, config and modules.tar, built if need be."""
    for config in flavour.configs:
        if not config.exists():
            raise BuildError(f"{config.relative_to(ROOT)} is missing", "every architecture needs one")
    source = source_key(flavour)
    headers = abi_headers(arch).values() if flavour.patched else ()
    key = key_of(source, *headers, quoll.compiler_version(arch.compiler), flavour.make_arch,
                 recipe(Path(__file__)), files=flavour.configs)
    return cache.get(f"linux-{flavour.name}", key, lambda entry: make(arch, cache, flavour, source, entry))
