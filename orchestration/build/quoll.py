# SPDX-License-Identifier: BSD-2-Clause
"""Builds the L4 kernel, its servers and its tests by Meson, and reads the ABI's constants.

The result is a cache entry keyed by the content of every source file, so nothing at all runs when nothing
has changed. Meson's own folder is kept beside, so that a change builds only what it touches.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.base import doctor, tools
from orchestration.base.arch import Arch
from orchestration.base.cache import Cache, files_below, key_of
from orchestration.base.errors import BuildError
from orchestration.base.tree import ROOT
from orchestration.build import system

if TYPE_CHECKING:
    from quoll_abi import Abi

SERVERS = ("root", *system.PROGRAMS)
"""Programs that a boot image may have, beside Linux."""
KERNEL = "quoll.elf"
KERNEL_TESTS = "ktest"
KERNEL_BENCH = "kbench"
KERNEL_ATTACK = "kattack"
KERNEL_FUZZ = "kfuzz"
KERNEL_MODEL = "kmodel"
LIMIT = 900


def traced(name: str) -> str:
    """Return the name of the kernel that counts and traces (kernel/include/kernel/trace.h)."""
    return name.replace("quoll", "quoll-trace")


def checked(name: str) -> str:
    """Return the name of the kernel that checks its invariants (assert, UBSan)."""
    return name.replace("quoll", "quoll-debug")


def counting(name: str) -> str:
    """Return the name of the kernel whose executed lines are counted (kernel/meson.build)."""
    return name.replace("quoll", "quoll-coverage")


def generate(*options: str) -> str:
    """Return what the ABI's generator prints."""
    argv = [sys.executable, str(ROOT / "kernel/abi/generate.py"), *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError("the ABI's generator failed", "mend kernel/abi/abi.yaml", tuple(done.stderr.splitlines()))
    return done.stdout


def abi_headers(arch: Arch) -> dict[str, str]:
    """Return the text of every C header of the ABI, by name."""

    def make(entry: Path) -> None:
        generate("--arch", arch.name, "--headers", str(entry))

    entry = Cache().get("abi-headers", key_of(arch.name, abi_key()), make)
    return {path.name: path.read_text() for path in sorted(entry.glob("*.h"))}


def abi_key() -> str:
    """Return the key of what the ABI's generator makes."""
    return key_of("abi", files=files_below(ROOT / "kernel/abi"), base=ROOT)


def abi_folder() -> Path:
    """Return the folder with quoll_abi.py, the ABI's constants with their types, generated if need be.

    It is beside the Python packages, where mypy_path of pyproject.toml finds it: so the types of constants are checked.
    Where this user may not write there, it is in the cache, by the key of its sources: several checkouts may use that.
    """
    key = abi_key()
    packages = ROOT / ".venv"
    folder = packages / "abi" if os.access(packages, os.W_OK) else doctor.cache_root() / "abi" / key
    module, stamp = folder / "quoll_abi.py", f"# {key}\n"
    if not module.exists() or not module.read_text().startswith(stamp):
        text = stamp + generate("--python")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".new", delete=False) as new:
            new.write(text)
        # Others may use the checkout as well.
        Path(new.name).chmod(0o644)
        Path(new.name).rename(module)
    return folder


def abi(arch: Arch) -> Abi:
    """Return the ABI's constants as attributes."""
    spec = importlib.util.spec_from_file_location("quoll_abi", abi_folder() / "quoll_abi.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["quoll_abi"] = module
    spec.loader.exec_module(module)
    found: dict[str, Abi] = module.ABI
    return found[arch.name]


def compiler_version(compiler: str) -> str:
    """Return the compiler's own description, part of every key."""
    return subprocess.run([tools.program(compiler), "-v"], capture_output=True, text=True, check=True).stderr


def cross_file(arch: Arch) -> Path:
    """Return Meson's description of the architecture."""
    return ROOT / "orchestration/build/cross" / f"{arch.name}.ini"


def products(arch: Arch) -> list[str]:
    """Return the names of what is kept of a build."""
    kernels = {KERNEL, arch.kernel}
    return sorted({*kernels, *map(traced, kernels), *map(checked, kernels), KERNEL_TESTS, KERNEL_BENCH,
                   KERNEL_ATTACK, KERNEL_FUZZ, KERNEL_MODEL, *SERVERS})


def sources_key(arch: Arch) -> str:
    """Return the key of what Meson builds."""
    folders = (ROOT / name for name in ("kernel", "servers", "tests/kernel"))
    files = [*files_below(*folders), ROOT / "meson.build", cross_file(arch)]
    return key_of("bare", arch.name, compiler_version(arch.compiler), *products(arch), files=files, base=ROOT)


def targets(folder: Path) -> dict[str, Path]:
    """Return what Meson makes, by name: programs, and the raw image of one."""
    done = subprocess.run([tools.program("meson"), "introspect", "--targets", str(folder)], capture_output=True,
                          text=True, check=True)
    return {target["name"]: Path(target["filename"][0]) for target in json.loads(done.stdout)
            if target["type"] in ("executable", "custom")}


def compiled(arch: Arch, cache: Cache, names: Sequence[str], entry: Path, only_these: bool = False) -> None:
    """Have Meson build what it builds usually, or only_these targets of the given names, and copy them into entry."""
    # Meson's folder names the cross file: one that has moved wants a new folder.
    key = key_of(str(ROOT), str(cross_file(arch)), files=[cross_file(arch)])[:8]
    folder = cache.root / "build" / f"{arch.name}-{key}"
    log = cache.root / "build" / f"{arch.name}-{key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    # Meson's scripts find a python3 with yaml beside the one that runs this, whatever else is first in PATH.
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    with cache.lock(f"meson-{key}"):
        unfinished = Path(f"{folder}.unfinished")
        if unfinished.exists() or not (folder / "build.ninja").exists():
            shutil.rmtree(folder, ignore_errors=True)
            tools.run(["meson", "setup", "--cross-file", str(cross_file(arch)), str(folder), str(ROOT)], log,
                      "meson setup", LIMIT, env=env, unfinished=unfinished)
        # A change of a meson.build is seen before it is asked for targets.
        tools.run(["ninja", "-C", str(folder), "build.ninja"], log, "meson setup", LIMIT, env=env,
                  unfinished=unfinished)
        found = targets(folder)
        for name in names:
            if name not in found:
                raise BuildError(f"meson.build has no target {name}", f"it has: {', '.join(sorted(found))}")
        wanted = [str(found[name].relative_to(folder)) for name in names] if only_these else []
        tools.run(["ninja", "-C", str(folder), *wanted], log, "the build of kernel and servers", LIMIT, env=env,
                  unfinished=unfinished)
        for name in names:
            shutil.copy2(found[name], entry / name)


def bare(arch: Arch, cache: Cache) -> Path:
    """Return the folder with the kernel, ktest and the servers, built if need be."""
    return cache.get("bare", sources_key(arch), lambda entry: compiled(arch, cache, products(arch), entry))


def lines_kernel(arch: Arch, cache: Cache) -> Path:
    """Return the folder with the kernel whose executed lines are counted, built if need be (inspect/lines.py)."""
    names = sorted({counting(KERNEL), counting(arch.kernel)})
    return cache.get("bare", key_of("lines", sources_key(arch)),
                     lambda entry: compiled(arch, cache, names, entry, only_these=True))
