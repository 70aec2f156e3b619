# SPDX-License-Identifier: BSD-2-Clause
"""Walk the Linux series: apply patch by patch, and after each one check it and build what must build.

.venv/bin/python -m tests.port.walk_series [--last N | --from N] [--checks] [--sparse] FOLDER

After every patch a small ARCH=x86_64 builds. From the patch on that adds arch/l4/Kconfig, ARCH=l4 builds as well, for
each CPU that its Kconfig offers. checkpatch finds nothing but the types in checkpatch.ignore, which names a reason for
each. --checks leaves the builds out; --sparse runs sparse on the last tree's arch/l4 and virtio transport.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration.base import ownership, tools
from orchestration.base.arch import ARCHES, Arch
from orchestration.base.errors import BuildError, QuollError
from orchestration.build import linux

HERE = Path(__file__).parent
CPUS = {f"L4_CPU_{arch.name.upper()}": arch for arch in ARCHES.values()}
OFFERED = re.compile(r'^config (L4_CPU_\w+)\n\tbool "', re.MULTILINE)
CHECK_LIMIT, SPARSE_LIMIT = 300, 1800


def offered(kconfig: str) -> list[Arch]:
    """Return the CPUs that the text of arch/l4/Kconfig offers."""
    return [CPUS[name] for name in OFFERED.findall(kconfig)]


def exceptions(text: str) -> dict[str, str]:
    """Return the checkpatch types that are allowed, with their reasons: a type and its reason in a line."""
    pairs = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    bare = [pair[0] for pair in pairs if len(pair) != 2]
    if bare:
        raise BuildError(f"checkpatch.ignore has no reason for {', '.join(bare)}", "write one behind the type")
    return {pair[0]: pair[1] for pair in pairs}


@dataclass(frozen=True)
class Walk:
    """A folder with the source as far as it is patched, and the objects of every build beside it."""

    folder: Path

    @property
    def tree(self) -> Path:
        """Return the Linux source."""
        return self.folder / "source"

    @property
    def log(self) -> Path:
        """Return the file with the output of all programs."""
        return self.folder / "log"

    def unpack(self, patches: list[Path]) -> None:
        """Make the source anew and apply patches without looking at them."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        tools.run(["tar", "-xf", str(linux.TARBALL), "-C", str(self.tree), "--strip-components=1"], self.log,
                  "unpacking Linux", linux.UNPACK_LIMIT)
        for patch in patches:
            linux.apply(patch, self.tree, self.log)

    def check(self, patch: Path) -> None:
        """Raise BuildError with what checkpatch finds in a patch."""
        allowed = exceptions((HERE / "checkpatch.ignore").read_text())
        done = subprocess.run(["perl", "scripts/checkpatch.pl", "--root=.", "--terse", "--show-types", "--no-summary",
                               "--max-line-length=120", f"--ignore={','.join(allowed)}", str(patch)], cwd=self.tree,
                              capture_output=True, text=True, timeout=CHECK_LIMIT, check=False)
        if done.returncode:
            raise BuildError(f"checkpatch on {patch.name}", "mend the patch, or name the exception and its reason in "
                             "tests/port/checkpatch.ignore", tuple((done.stdout + done.stderr).splitlines()))

    def make(self, name: str, variables: list[str], fragment: str, targets: list[str]) -> None:
        """Configure and build in the folder of a name, on top of what an earlier patch has left there."""
        objects = self.folder / f"objects-{name}"
        objects.mkdir(exist_ok=True)
        wanted = objects / "wanted.config"
        wanted.write_text(fragment)
        env = {**linux.REPRODUCIBLE, "CCACHE_DIR": str(self.folder / "ccache"), "CCACHE_BASEDIR": str(self.folder)}
        command = ["make", "-C", str(self.tree), f"O={objects}", *variables]
        tools.run([*command, f"KCONFIG_ALLCONFIG={wanted}", "allnoconfig"], self.log, f"{name}: configuration",
                  linux.UNPACK_LIMIT, env=env)
        tools.run([*command, f"-j{os.cpu_count() or 1}", *targets], self.log, f"{name}: build", linux.MAKE_LIMIT,
                  env=env)

    def stock(self) -> None:
        """Build ARCH=x86_64."""
        self.make("stock", ["ARCH=x86_64", *compilers(ARCHES["x86_64"])], (HERE / "stock.config").read_text(),
                  ["vmlinux"])

    def l4(self, arch: Arch, *more: str) -> None:
        """Build ARCH=l4 for a CPU; more are further variables of make."""
        abi = self.folder / f"abi-{arch.name}"
        abi.mkdir(exist_ok=True)
        for name, text in linux.abi_headers(arch).items():
            if not (abi / name).exists() or (abi / name).read_text() != text:
                (abi / name).write_text(text)
        fragment = (HERE / "l4.config").read_text() + f"CONFIG_L4_CPU_{arch.name.upper()}=y\n"
        targets = ["arch/l4/", "drivers/virtio/"] if more else ["vmlinux", "modules"]
        self.make(arch.name, ["ARCH=l4", f"QUOLL_ABI={abi}", *compilers(arch), *more], fragment, targets)

    def build(self) -> list[str]:
        """Build all that must build with the patches that are applied; return the names."""
        self.stock()
        kconfig = self.tree / "arch/l4/Kconfig"
        cpus = offered(kconfig.read_text()) if kconfig.exists() else []
        for arch in cpus:
            self.l4(arch)
        return ["stock", *(arch.name for arch in cpus)]

    def unset(self, name: str) -> list[str]:
        """Return the options that the build of a name was to have and has not."""
        objects = self.folder / f"objects-{name}"
        have = set((objects / ".config").read_text().splitlines())
        return [line for line in (objects / "wanted.config").read_text().splitlines()
                if line.startswith("CONFIG_") and line not in have]

    def sparse(self, arch: Arch) -> list[str]:
        """Return what sparse says of the architecture and the virtio transport for a CPU."""
        before = self.log.stat().st_size
        self.l4(arch, "C=2", "CHECK=sparse")
        with self.log.open() as stream:
            stream.seek(before)
            found = [line.strip() for line in stream if re.search(r": (?:warning|error): ", line)]
        return [line for line in found if "arch/l4/" in line or "virtio_l4" in line]


def compilers(arch: Arch) -> list[str]:
    """Return make's variables for the compilers."""
    ccache = "ccache " if shutil.which("ccache") else ""
    return [f"CROSS_COMPILE={arch.prefix}", f"CC={ccache}{arch.compiler}", f"HOSTCC={ccache}gcc"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder if need be and hold its lock: two walks would remove each other's source."""
    folder.mkdir(parents=True, exist_ok=True)
    with ownership.lock(folder / "lock", lambda: print(f"waiting for another walk in {folder}", flush=True)):
        yield


def walk(folder: Path, first: int, builds: bool = True) -> list[str]:
    """Apply the series, and check and build from the patch with the index first on; return a line for each."""
    state, patches, lines = Walk(folder), linux.series(), []
    state.unpack(patches[:first])
    for patch in patches[first:]:
        linux.apply(patch, state.tree, state.log)
        state.check(patch)
        try:
            built = state.build() if builds else []
        except BuildError as error:
            raise BuildError(f"{patch.name}: {error}", error.hint, error.details) from error
        # An option may come with a later patch, so only the last one must have all of them.
        lost = [f"{name}: {line}" for name in built if patch == patches[-1] for line in state.unset(name)]
        if lost:
            raise BuildError("options of the walk's configurations are not set", "mend tests/port/*.config: an option "
                             "does not exist or depends on another one", tuple(lost))
        lines.append(f"{patch.name}: {', '.join(built) or 'checked'}")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    """Walk as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="source and objects; kept, so that a second walk builds less")
    parser.add_argument("--last", type=int, help="look at this many patches at the end; all when not given")
    parser.add_argument("--from", type=int, dest="first", default=1, help="number of the first patch to look at")
    parser.add_argument("--checks", action="store_true", help="no builds")
    parser.add_argument("--sparse", action="store_true", help="run sparse on the last tree")
    chosen = parser.parse_args()
    patches = linux.series()
    first = len(patches) - chosen.last if chosen.last else chosen.first - 1
    folder = chosen.folder.resolve()
    try:
        with locked(folder):
            walk(folder, first, builds=not chosen.checks)
            warnings = [line for arch in ARCHES.values() if chosen.sparse for line in Walk(folder).sparse(arch)]
    except QuollError as error:
        print(error, error.hint, *error.details, sep="\n", file=sys.stderr)
        return 1
    print(*warnings, sep="\n")
    return bool(warnings)


if __name__ == "__main__":
    sys.exit(main())
