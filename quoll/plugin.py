# SPDX-License-Identifier: BSD-2-Clause
"""The pytest plugin: a fixture `guest`, booted once for each set of fields and session (docs/python.md).

It is loaded by every pytest of an environment in which Quoll is installed: what boots is imported by the first test
that asks for a guest.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import quoll
from orchestration.base import arch as arches
from orchestration.base.errors import QuollError

if TYPE_CHECKING:
    from quoll.guest import Guest
    from quoll.machines import Pool

OPTION = "quoll_arch"
# Lines of each part of what is attached to the report of a failed test.
CONSOLE_LINES, LOG_LINES, DOSSIER_LINES = 60, 20, 300

POOL = pytest.StashKey["Pool"]()
NEEDED = pytest.StashKey[Counter[str]]()
GUEST = pytest.StashKey["Guest"]()
BEGAN = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("quoll", "tests in Quoll's guests")
    group.addoption("--quoll-arch", dest=OPTION, action="append", metavar="ARCH", choices=list(arches.ARCHES),
                    help=f"run tests with a guest on this architecture ({', '.join(arches.ARCHES)}); may be repeated")
    group.addoption("--quoll-install", action="store_true",
                    help="install Debian packages that booting needs and this host lacks")
    parser.addini(OPTION, "architectures of guests, when --quoll-arch is not given", type="args", default=[])
    parser.addini("quoll_files", "whether quoll.toml has a say in what guests are", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark."""
    config.addinivalue_line("markers", 'guest(**fields): what the guest of this test is, such as rootfs="debian", '
                            'memory="1G", arch="riscv64"; fresh=True: a machine that no other test has')


def failure(error: QuollError) -> BaseException:
    """Return what fails a test, or the collection of a file, with an error's message and without a traceback."""
    return pytest.fail.Exception("\n".join(error.lines()), pytrace=False)


def usual(config: pytest.Config) -> list[str]:
    """Return the architectures when neither option nor ini file names one: quoll.toml's, else this host's."""
    if config.getini("quoll_files"):
        from orchestration.machine import layers

        try:
            for path in reversed(layers.files()):
                if "arch" in (values := layers.checked(layers.read(path))):
                    return [values["arch"]]
        except QuollError as error:
            raise failure(error) from None
    return [platform.machine() if platform.machine() in arches.ARCHES else next(iter(arches.ARCHES))]


def architectures(config: pytest.Config) -> list[str]:
    """Return the names of the architectures that tests run on."""
    names = config.getoption(OPTION) or config.getini(OPTION) or usual(config)
    for name in names:
        if name not in arches.ARCHES:
            pytest.fail(f"{OPTION}: unknown architecture '{name}'; valid: {', '.join(arches.ARCHES)}", pytrace=False)
    return list(dict.fromkeys(names))


def marked(item: pytest.Item | pytest.Function) -> dict[str, Any]:
    """Return the fields of a test's marks; the nearest one wins, that of a class over those of its base classes."""
    fields: dict[str, Any] = {}
    for node in item.listchain():
        marks = [mark for mark in node.own_markers if mark.name == "guest"]
        # pytest has the marks of base classes before a class' own, and a function's nearest decorator first.
        for mark in marks if isinstance(node, pytest.Class) else reversed(marks):
            if mark.args:
                pytest.fail(f'{item.nodeid}: the mark guest takes fields by name, such as rootfs="debian"',
                            pytrace=False)
            fields |= mark.kwargs
    return fields


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with a guest once for each architecture, unless it is parametrized by quoll_arch itself."""
    if OPTION not in metafunc.fixturenames:
        return
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        if OPTION in [name.strip() for name in names]:
            return
    chosen = architectures(metafunc.config)
    wanted = marked(metafunc.definition).get("arch")
    if wanted is not None:
        only = [wanted] if isinstance(wanted, str) else list(wanted)
        chosen = [name for name in only if name in chosen or not metafunc.config.getoption(OPTION)]
    metafunc.parametrize(OPTION, chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def quoll_arch(request: pytest.FixtureRequest) -> str:
    """Return the name of the architecture that a test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def quoll_guests(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Return the guests of this session: get(**fields) boots one, or returns the one that runs.

    A worker of pytest-xdist has a session of its own, and so guests of its own: tests that run at the same time never
    share a machine.
    """
    from quoll.machines import Pool

    config = request.config
    pool = config.stash[POOL] = Pool(files=config.getini("quoll_files"), install=config.getoption("--quoll-install"))
    # Which guests later tests need. A worker does not know which tests it gets, and keeps all to the end.
    needed = Counter() if hasattr(config, "workerinput") else Counter(map(str, filter(None, (
        key(pool, item) for item in request.session.items))))
    config.stash[NEEDED] = needed
    try:
        yield pool
    finally:
        pool.close_all()


def fields_of(item: pytest.Item) -> dict[str, Any]:
    """Return the fields of the guest that a test asks for."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    fields = {name: value for name, value in marked(item).items() if name not in ("arch", "fresh")}
    own: Any = params.get("guest") or {}
    return {"arch": params.get(OPTION), **fields, **own}


def key(pool: Pool, item: pytest.Item) -> str | None:
    """Return the key of the guest that a test shares with others; None for a test without one."""
    if "guest" not in getattr(item, "fixturenames", ()) or marked(item).get("fresh"):
        return None
    try:
        return pool.key(fields_of(item))
    except QuollError:
        # The test itself reports it.
        return None


@pytest.fixture
def guest(request: pytest.FixtureRequest, quoll_arch: str, quoll_guests: Pool) -> Iterator[Guest]:
    """Return a guest (quoll.Guest) of the session: of the test's architecture, and with the fields of its marks.

    Tests with the same fields share it. One that was lost, by a panic or otherwise, is booted again for the next test.
    """
    from quoll.machines import describe

    fields = fields_of(request.node)
    fresh = bool(marked(request.node).get("fresh"))
    try:
        found = quoll_guests.fresh(describe(fields, quoll_guests.files)) if fresh else quoll_guests.get(**fields)
    except QuollError as error:
        raise failure(error) from None
    request.node.stash[GUEST] = found
    request.node.stash[BEGAN] = len(found.console.text)
    yield found
    if fresh:
        found.close(found.session.lost_reason)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End a machine that no later test needs."""
    pool, needed = item.config.stash.get(POOL, None), item.config.stash.get(NEEDED, None)
    if pool is None or needed is None or nextitem is None:
        return
    name = key(pool, item)
    if name is not None and name in needed:
        needed[name] -= 1
        if not needed[name]:
            pool.close(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]
                              ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to the report of a failed test what its guest was doing."""
    report = yield
    if report.failed and (found := item.stash.get(GUEST, None)) is not None:
        if call.excinfo is not None and isinstance(call.excinfo.value, quoll.QuollError):
            report.sections.append(("quoll: error", "\n".join(call.excinfo.value.lines())))
        report.sections += evidence(found, item.stash[BEGAN])
    return report


def evidence(guest: Guest, began: int) -> list[tuple[str, str]]:
    """Return what is known of a guest: its run, what it printed since the test began, the end of L4's log, dossiers."""
    parts = [("quoll: run", f"{guest.arch}, in {guest.folder}"),
             ("quoll: console during the test", ends(guest.console.text[began:], CONSOLE_LINES)),
             ("quoll: log of L4", ends(guest.log.text, LOG_LINES))]
    # Those of a panic and of a hang were written when it was lost.
    written = [guest.folder / name for name in ("panic.txt", "hang.txt") if (guest.folder / name).exists()]
    parts += [(f"quoll: {path.name}", begins(path.read_text(errors="replace"), DOSSIER_LINES, str(path)))
              for path in written]
    if not written and guest.alive:
        try:
            parts.append(("quoll: dossier", begins(guest.dossier(), DOSSIER_LINES, str(guest.folder / "dossier.txt"))))
        except Exception as error:  # of any kind: pytest ends the whole run for one that comes out of here
            parts.append(("quoll: dossier", f"there is none: {type(error).__name__}: {error}"))
    return [(name, text) for name, text in parts if text.strip()]


def ends(text: str, lines: int) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.splitlines()[-lines:])


def begins(text: str, lines: int, place: str) -> str:
    """Return the first lines of a text, and where the rest is."""
    all_of_it = text.splitlines()
    return "\n".join([*all_of_it[:lines], *([f"... the rest is in {place}"] if len(all_of_it) > lines else [])])
