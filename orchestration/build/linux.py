# SPDX-License-Identifier: BSD-2-Clause
"""Builds Linux: Debian's source package, our series of patches, one configuration.

Trees are kept per content of tarball and series, so that a changed configuration or ABI builds on; what is
booted is a cache entry that is verified by its hashes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestration.base import doctor, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, hash_file, key_of, recipe
from orchestration.base.errors import BuildError, InfrastructureError, MissingError
from orchestration.build import flavours, quoll
from orchestration.build.flavours import PATCHES, Flavour

TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")
# Keeps time, user and host out of the image.
REPRODUCIBLE = {"KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_USER": "quoll",
                "KBUILD_BUILD_HOST": "quoll", "KBUILD_BUILD_VERSION": "1", "LC_ALL": "C"}
# What Linux' makefiles and make itself take for something else in a path.
UNSAFE = re.compile(r"[^\w@+,./-]")
ABI_HEADERS = ("abi.h", "abi_vcpus.h", "abi_hash.h", "abi_msg.h", "abi_call.h")
UNPACK_LIMIT, PATCH_LIMIT, MAKE_LIMIT = 900, 60, 5400
# In the folder of a tree that has the user's patches.
OWN_MARK = "patched-by-user"


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


def changes(patch: Path) -> str:
    """Return what a patch does to a tree, without the message before it: words alone make nothing anew."""
    text = patch.read_text()
    return text[max(text.find("\ndiff --git "), 0):]


def source_key(flavour: Flavour) -> str:
    """Return the key of an unpacked, patched tree."""
    if not TARBALL.exists():
        raise MissingError(f"{TARBALL} is missing", "run: ./orchestrate doctor --install")
    patches = series() if flavour.patched else []
    ours = key_of("source", *(part for patch in patches for part in (patch.name, changes(patch))), files=[TARBALL])
    return key_of(ours, *map(hash_file, flavour.patches)) if flavour.patches else ours


def apply(patch: Path, tree: Path, log: Path, *, own: bool = False) -> None:
    """Apply one patch, of the series or the user's own; raise BuildError that names it and shows what was rejected."""
    try:
        tools.run(["patch", "-p1", "--forward", "--batch", "-i", str(patch.absolute())], log, patch.name,
                  PATCH_LIMIT, cwd=tree)
    except BuildError as error:
        if own:
            raise BuildError(f"the patch {patch} does not apply to {TARBALL.name} with our series",
                             "make it from a tree that has l4linux-patches/series applied", error.details) from error
        raise BuildError(f"the patch {patch.name} does not apply to {TARBALL.name}",
                         "l4linux-patches/BASE names the version that was tested; refresh the patch", error.details
                         ) from error


def activate(place: Path, *, own: bool) -> None:
    """Rename the tree with the user's patches, or that without, to the place where trees are built.

    Both have the same path there, so ccache knows the objects of one again when it builds the other, and neither
    throws the other's objects away. One that is not active waits under another name.
    """
    mark = place / OWN_MARK

    def waiting(*, own: bool) -> Path:
        return place.with_name(f"{place.name}-{'own' if own else 'series'}")

    if place.exists() and mark.exists() != own:
        away = waiting(own=not own)
        shutil.rmtree(away, ignore_errors=True)
        place.rename(away)
    if not place.exists() and waiting(own=own).exists():
        waiting(own=own).rename(place)


def tree_of(cache: Cache, flavour: Flavour) -> Path:
    """Return the folder with a flavour's tree and the objects of all that are built from it."""
    return cache.root / "linux" / ("guest" if flavour.patched else "native")


def is_unpacked(place: Path, key: str) -> bool:
    """Say whether a folder has the tree of a key."""
    stamp = place / "source.key"
    return stamp.exists() and stamp.read_text() == key and (place / "source").exists()


def unpack(cache: Cache, flavour: Flavour, key: str, log: Path) -> Path:
    """Return the patched tree. It and its objects always have the same paths, which ccache needs to know them again.

    A tree of another key goes with its objects: times of files that only came back say nothing about them.
    """
    parent = tree_of(cache, flavour)
    if flavour.patched:
        activate(parent, own=bool(flavour.patches))
    tree = parent / "source"
    if is_unpacked(parent, key):
        return tree
    # First: when the removal is interrupted, what it has left must not pass for the tree of that key.
    (parent / "source.key").unlink(missing_ok=True)
    shutil.rmtree(parent, ignore_errors=True)
    fresh = parent / "unpacking"
    fresh.mkdir(parents=True)
    if flavour.patches:
        (parent / OWN_MARK).touch()
    tools.run(["tar", "-xf", str(TARBALL), "-C", str(fresh), "--strip-components=1"], log,
              f"unpacking {TARBALL.name}", UNPACK_LIMIT)
    for patch in series() if flavour.patched else []:
        apply(patch, fresh, log)
    for patch in flavour.patches:
        apply(patch, fresh, log, own=True)
    fresh.rename(tree)
    (parent / "source.key").write_text(key)
    return tree


@contextmanager
def patched(cache: Cache, flavour: Flavour, key: str, log: Path) -> Iterator[Path]:
    """Hold the patched tree as it is. Builds from it go on side by side; who wants another tree waits for them all."""
    name = "linux-guest" if flavour.patched else "linux-native"
    with ExitStack() as held:
        # One at a time looks, unpacks and begins to hold: none waits for the build of another that wants the same tree.
        with cache.lock(f"{name}-source"):
            place = tree_of(cache, flavour)
            if not is_unpacked(place, key):
                with cache.lock(name):
                    unpack(cache, flavour, key, log)
            held.enter_context(cache.lock(name, shared=True))
        yield place / "source"


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
    # Flavours share a tree, each with its own objects: a small kernel does not wait for a full one.
    with patched(cache, flavour, key, log) as tree, cache.lock(f"linux-{flavour.name}"):
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
        wanted.write_text(flavours.text_of(flavours.wanted(flavour)))
        tools.run([*command, f"KCONFIG_ALLCONFIG={wanted}", flavour.base], log, "Linux' configuration",
                  UNPACK_LIMIT, env=env, unfinished=unfinished)
        flavours.check(flavour, (objects / ".config").read_text())
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


def key(arch: Arch, flavour: Flavour) -> str:
    """Return the key of a flavour's cache entry."""
    headers = abi_headers(arch).values() if flavour.patched else ()
    return key_of(source_key(flavour), *headers, quoll.compiler_version(arch.compiler), flavour.make_arch,
                  flavours.text_of(flavours.wanted(flavour)), recipe(Path(__file__)))


def linux(arch: Arch, cache: Cache, flavour: Flavour) -> Path:
    """Return the folder with the image, System.map, config and modules.tar, built if need be."""
    source = source_key(flavour)
    return cache.get(f"linux-{flavour.name}", key(arch, flavour),
                     lambda entry: make(arch, cache, flavour, source, entry))


def built(arch: Arch, cache: Cache, flavour: Flavour) -> Path | None:
    """Return the folder of a flavour if it is built already."""
    entry = cache.folder(f"linux-{flavour.name}", key(arch, flavour))
    return entry if entry.exists() else None
