# SPDX-License-Identifier: BSD-2-Clause
"""Options and fixtures of all tests. A test that asks for arch runs once for each architecture."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.base import arch as arches
from orchestration.base import tools
from orchestration.base.cache import Cache
from orchestration.base.tree import ROOT
from orchestration.build import quoll
from orchestration.inspect import lines
from orchestration.machine import boot, qemu
from orchestration.machine.description import Description, cpus
from orchestration.machine.progress import Progress
from tests import selection

pytest_plugins = ["quoll.plugin", "tests.splats"]
BUILDER = pytest.StashKey[ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, help="random cases of the kernel's model; a few hundred when not given")
    parser.addoption("--arch", action="append", help="an architecture of the system tests; all when not given")
    parser.addoption("--nightly", action="store_true", help="run the tests marked nightly as well")
    parser.addoption("--above", action="store_true", help="boot all guests in guest mode above, which x86_64 has")
    parser.addoption("--cpus", metavar="N", help="boot all guests that name no number with N CPUs")
    parser.addoption("--kernel-lines", type=Path, metavar="FOLDER", help="boot the kernel whose executed lines are "
                     "counted, and write a log of each boot there (./orchestrate coverage)")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[selection.ARCHES] = [arch.name for arch in chosen(config)]
    config.pluginmanager.register(selection, "quoll-selection")
    if config.getoption("--above"):
        lacking = [arch.name for arch in chosen(config) if "above" not in arch.guest_modes]
        if lacking:
            raise pytest.UsageError(f"--above: no guest mode above on {', '.join(lacking)}; "
                                    "run: ./orchestrate test x86_64 FILE --above")
        usual("guest_mode", "above")
    if config.getoption("--cpus"):
        try:
            usual("cpus", cpus(config.getoption("--cpus")))
        except ValueError as error:
            raise pytest.UsageError(f"--cpus: {error}") from error


def usual(name: str, value: object) -> None:
    """Give a field another value in every description that does not say more, wherever it is made."""
    Description.model_fields[name].default = value
    Description.model_rebuild(force=True)


def chosen(config: pytest.Config) -> list[arches.Arch]:
    return [arches.find(name) for name in config.getoption("--arch") or arches.ARCHES]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Name the architectures, which would be Quoll's usual ones otherwise, with the machines that tests share.

    Session scope, so that all tests of one architecture run before the next one's.
    """
    named = {name for mark in metafunc.definition.iter_markers("parametrize") for name in [mark.args[0]]}
    if "quoll_arch" in metafunc.fixturenames and not named & {"arch", "quoll_arch"}:
        # pytest loads the plugin itself, before anybody imports it.
        from quoll.plugin import marked

        only = marked(metafunc.definition).get("arch", tuple(arches.ARCHES))
        allowed = [only] if isinstance(only, str) else only
        names = [arch.name for arch in chosen(metafunc.config) if arch.name in allowed]
        metafunc.definition.add_marker(pytest.mark.parametrize(
            "quoll_arch", names, indirect=True, scope="session",
            ids=[selection.id_of(name, metafunc.fixturenames) for name in names]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start building for all architectures beside the tests, with what CPU time these leave.

    A test that needs a build waits for it by the cache's lock, and makes it itself when the builder failed. Of several
    workers the first has the builder.
    """
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return
    wanted = {selection.architecture(item) for item in session.items
              if {"made", "quoll_guests"} & set(getattr(item, "fixturenames", ()))}
    names = [arch.name for arch in chosen(session.config) if arch.name in wanted]
    if names and not session.config.option.collectonly:
        stack = session.config.stash[BUILDER] = ExitStack()
        builder = subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-m", "orchestration", "build", "--no-config", *names], cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            process_group=stack.enter_context(tools.group()))
        stack.callback(end, builder)


def end(builder: subprocess.Popen[bytes]) -> None:
    if builder.poll() is None:
        builder.terminate()
        builder.wait(60)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash.get(BUILDER, ExitStack()).close()


@pytest.fixture(scope="session", autouse=True)
def kernel_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --kernel-lines, every machine has the kernel whose executed lines are counted, and a log of them."""
    folder: Path | None = request.config.getoption("--kernel-lines")
    if folder is None:
        yield
        return
    numbers, real, worker = itertools.count(), qemu.arguments, os.environ.get("PYTEST_XDIST_WORKER", "main")
    codes: dict[str, lines.Code] = {}

    def arguments(arch: arches.Arch, config: qemu.Config, sockets: Path | None, port: int) -> list[str]:
        if not config.kernel.name.startswith("quoll"):
            return real(arch, config, sockets, port)
        built = quoll.lines_kernel(arch, Cache())
        if arch.name not in codes:
            codes[arch.name] = lines.read(built / quoll.counting(quoll.KERNEL))
        log = folder / f"{arch.name}-{worker}-{next(numbers)}.log"
        return real(arch, replace(config, kernel=built / quoll.counting(arch.kernel),
                                  extra=(*config.extra, *codes[arch.name].options(log))), sockets, port)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qemu, "arguments", arguments)
        yield


@pytest.fixture(scope="session")
def arch(quoll_arch: str) -> arches.Arch:
    """The architecture that a test runs on."""
    return arches.find(quoll_arch)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def progress() -> Progress:
    return Progress()


@pytest.fixture(scope="session")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="session")
def bare(arch: arches.Arch, cache: Cache) -> Path:
    """The kernel, its tests and the servers, built: what a test needs that boots no Linux."""
    return quoll.bare(arch, cache)


@pytest.fixture(scope="session")
def description(arch: arches.Arch) -> Description:
    """The machine of the built-in defaults."""
    return Description(arch=arch.name)


@pytest.fixture(scope="session")
def made(description: Description, cache: Cache, progress: Progress) -> boot.Artefacts:
    """Everything built, once for all tests of an architecture."""
    return boot.artefacts(description, cache, progress)
