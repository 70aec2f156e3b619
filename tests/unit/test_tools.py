# SPDX-License-Identifier: BSD-2-Clause
"""A killed orchestrator leaves no program, no lock and no folder, and no unfinished build is used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from orchestration.base import ownership, tools
from orchestration.base.cache import MAKING, Cache
from orchestration.base.errors import BuildError, InfrastructureError

LIMIT = 20.0
# A builder that starts another program, as make does, and says their ids; it holds the entry's lock while it runs.
BUILD = """
import sys
from pathlib import Path
from orchestration.base import tools
from orchestration.base.cache import Cache
root = Path(sys.argv[1])
script = "trap '' TERM; sleep 300 & echo $! $$ > ids.new; mv ids.new ids; wait; sleep 300"
Cache(root).get("kind", "key", lambda entry: tools.run(["sh", "-c", script], root / "log", "it", 300, cwd=root,
                                                       unfinished=root / "unfinished"))
"""


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: object) -> bool:
    deadline = time.monotonic() + LIMIT
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def killed(root: Path, tmp_path: Path) -> list[int]:
    """A builder that was killed at its work; the value are the ids of its programs."""
    builder = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)], cwd=root)
    assert eventually((tmp_path / "ids").exists)
    ids = [int(word) for word in (tmp_path / "ids").read_text().split()]
    assert all(alive(pid) for pid in ids)
    builder.kill()
    builder.wait()
    return ids


def test_a_killed_orchestrators_programs_end(killed: list[int], tmp_path: Path) -> None:
    assert eventually(lambda: not any(alive(pid) for pid in killed))
    assert (tmp_path / "unfinished").exists()


def test_a_killed_orchestrators_folder_is_removed_by_the_next(killed: list[int], tmp_path: Path) -> None:
    assert list((tmp_path / "kind").glob(f"{MAKING}*"))
    assert eventually(lambda: not any(alive(pid) for pid in killed))
    Cache(tmp_path)
    assert list((tmp_path / "kind").iterdir()) == []


def test_a_lock_is_held_by_the_programs_that_were_started_under_it(tmp_path: Path) -> None:
    """Without the group's leader the orchestrator's death does not reach its programs."""
    builder = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path)], cwd=Path(__file__).parents[2])
    assert eventually((tmp_path / "ids").exists)
    ids = [int(word) for word in (tmp_path / "ids").read_text().split()]
    group = os.getpgid(ids[0])
    os.kill(group, signal.SIGKILL)
    builder.kill()
    builder.wait()
    assert all(alive(pid) for pid in ids)
    waited: list[str] = []

    def end_them() -> None:
        waited.extend(path.name for path in (tmp_path / "kind").iterdir())
        os.killpg(group, signal.SIGKILL)

    with ownership.lock(tmp_path / "locks/kind-key", end_them):
        assert eventually(lambda: not any(alive(pid) for pid in ids))
    assert len(waited) == 1


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp
    made: list[str] = []

    def mkdtemp(prefix: str, dir: Path) -> str:  # noqa: A002
        made.append(make(prefix=prefix, dir=dir))
        if len(made) == 1:
            ownership.sweep(tmp_path, "x-*")
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with ownership.OwnFolder(tmp_path, "x-") as mine:
        assert [str(mine), len(made)] == [made[1], 2]


def test_a_folder_with_an_owner_is_not_swept(tmp_path: Path) -> None:
    with ownership.OwnFolder(tmp_path, "x-") as mine:
        (tmp_path / "x-dead").mkdir()
        (tmp_path / "y-other").mkdir()
        (tmp_path / "x-link").symlink_to(tmp_path / "y-other")
        ownership.sweep(tmp_path, "x-*")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, "x-link", "y-other"])
    assert not mine.exists()


def test_a_folder_that_another_process_removes_meanwhile_is_no_error(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's temporary folder in the cache, between our look at the cache and our look at the folder."""
    (tmp_path / "linux" / f"{MAKING}dead").mkdir(parents=True)
    (tmp_path / "going").mkdir()
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if not isinstance(path, int) and Path(path).name == "going":
            Path(path).rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    Cache(tmp_path)
    assert not list((tmp_path / "linux").iterdir())


def test_what_ended_by_itself_is_no_longer_unfinished(tmp_path: Path) -> None:
    mark = tmp_path / "unfinished"
    tools.run(["test", "-e", str(mark)], tmp_path / "log", "it", 5, unfinished=mark)
    assert not mark.exists()
    with pytest.raises(BuildError):
        tools.run(["false"], tmp_path / "log", "it", 5, unfinished=mark)
    assert not mark.exists()
    # make removes what it has not finished, and ends by the signal that it was told by.
    with pytest.raises(InfrastructureError):
        tools.run(["sleep", "60"], tmp_path / "log", "it", 0.1, unfinished=mark)
    assert not mark.exists()
    with pytest.raises(BuildError):
        tools.run(["sh", "-c", "kill -KILL $$"], tmp_path / "log", "it", 5, unfinished=mark)
    assert mark.exists()


def test_what_a_program_inherits_is_out_of_its_way(tmp_path: Path) -> None:
    """mmdebstrap gives apt a shell's command with the number of its next descriptor, and shells know one digit."""
    with ownership.lock(tmp_path / "a"), ownership.lock(tmp_path / "b"), ownership.OwnFolder(tmp_path, "c") as folder:
        tools.run(["sh", "-c", "readlink -f /proc/$$/fd/* > found; exec 3>&1; ls /proc/$$/fd > numbers"],
                  tmp_path / "log", "it", 5, cwd=tmp_path)
        assert {str(tmp_path / "a"), str(tmp_path / "b"), str(folder)} <= set((tmp_path / "found").read_text().split())
    numbers = {int(word) for word in (tmp_path / "numbers").read_text().split()}
    assert not numbers & set(range(4, 10))
    assert len([number for number in numbers if number >= ownership.FIRST_HELD]) == 3


def test_another_threads_folder_is_not_closed_while_a_program_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                     ) -> None:
    """The program could not inherit it. It is closed as soon as the program has started."""
    other = ownership.OwnFolder(tmp_path, "other")
    closing = threading.Thread(target=other.close)
    popen = subprocess.Popen

    def start(*given: Any, **more: Any) -> subprocess.Popen[bytes]:
        if closing.ident is None and other.descriptor in more.get("pass_fds", ()):
            closing.start()
            closing.join(0.3)
        return popen(*given, **more)

    monkeypatch.setattr(subprocess, "Popen", start)
    tools.run(["true"], tmp_path / "log", "it", 5)
    assert closing.ident is not None
    closing.join(LIMIT)
    assert not closing.is_alive()
    assert other.descriptor == -1


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    tools.run(["sh", "-c", "sleep 300 & echo $! > id"], tmp_path / "log", "it", 5, cwd=tmp_path)
    assert eventually(lambda: not alive(int((tmp_path / "id").read_text())))


def test_a_long_temporary_folder_is_not_used_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 95)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    assert ownership.temporary() == Path("/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/var/tmp")
    assert ownership.temporary() == Path("/var/tmp")
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    assert ownership.temporary() == Path("/dev/shm")


def test_the_last_line_of_a_log_is_told_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TELL", 0.05)

    def tell(line: str) -> None:
        if line == "first":
            (tmp_path / "seen").touch()

    tools.run(["sh", "-c", "echo first; while [ ! -e seen ]; do sleep 0.02; done"], tmp_path / "log", "it", LIMIT,
              cwd=tmp_path, tell=tell)


def test_who_is_told_of_a_log_does_not_change_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TELL", 0.05)
    with pytest.raises(InfrastructureError, match="did not end in"):
        tools.run(["sleep", "300"], tmp_path / "log", "it", 0.3, tell=lambda line: None)


def test_a_slow_machine_multiplies_the_limit_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be an error after 0.2 s; the program ends when it has seen that more have passed."""
    argv = ["sh", "-c", "sleep 1; touch seen"]
    with pytest.raises(InfrastructureError, match="it did not end in 0 s"):
        tools.run(argv, tmp_path / "log", "it", 0.2, cwd=tmp_path)
    monkeypatch.setenv("QUOLL_TIME_SCALE", "1000")
    tools.run(argv, tmp_path / "log", "it", 0.2, cwd=tmp_path)
    assert (tmp_path / "seen").exists()
    monkeypatch.setenv("QUOLL_TIME_SCALE", "0.01")
    with pytest.raises(InfrastructureError, match="it did not end in 1 s"):
        tools.run(["sleep", "300"], tmp_path / "log", "it", 100.0, cwd=tmp_path)


def test_of_a_log_of_any_size_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        stream.truncate(1 << 26)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\none\ntwo\n")
    tracemalloc.start()
    try:
        assert tools.tail(log, 2) == ("one", "two")
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()
