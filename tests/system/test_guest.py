# SPDX-License-Identifier: BSD-2-Clause
"""What a user may expect of the Linux that runs on L4. All tests share one boot."""

from __future__ import annotations

import hashlib
import http.server
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.base.arch import Arch
from quoll import CommandTimeout, Guest
from tests.system.processes import living

GUEST_PROGRAMS = Path(__file__).parent / "guest"
PROGRAMS = ("fork_exec", "signals", "registers", "threads", "memory", "trace", "clocks", "sockets", "user_end",
            "user_pages", "page_age", "page_rights", "page_tables", "mappings", "pointer_tags", "barriers", "notify",
            "order", "rseq")


def test_it_is_linux_6_12(guest: Guest, arch: Arch) -> None:
    done = guest.run(["uname", "-srm"])
    assert done.returncode == 0
    system, release, machine = done.text.split()
    assert system == "Linux"
    assert release.startswith("6.12")
    assert machine == arch.name


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_comes_through(guest: Guest, status: int) -> None:
    assert guest.run(["sh", "-c", f"exit {status}"]).returncode == status


def test_arguments_come_through_exactly(guest: Guest) -> None:
    arguments = ["a b", "'", '"', "$HOME", "*", "\\", "", "new\nline", "ä"]
    done = guest.run(["printf", "<%s>", *arguments])
    assert done.stdout == "".join(f"<{argument}>" for argument in arguments)


def test_a_signal_becomes_128_plus_its_number(guest: Guest) -> None:
    assert guest.run(["sh", "-c", "kill -9 $$"]).returncode == 137


@pytest.mark.parametrize("command", ["sleep 987 & (sleep 987; true) & yes", ["sleep", "987"], "while true; do :; done"])
def test_a_command_beyond_its_limit_is_killed_with_all_that_it_started(guest: Guest, command: str | list[str]) -> None:
    with pytest.raises(CommandTimeout):
        guest.run(command, timeout=3)
    assert not [line for line in living(guest) if "sleep 987" in line or "yes" in line or "do :" in line]


def test_output_and_errors_stay_apart(guest: Guest) -> None:
    done = guest.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(guest: Guest, program: Callable[[str], str], name: str) -> None:
    done = guest.run([program(name)], timeout=300)
    assert (done.returncode, done.text) == (0, "ok"), done.stderr


def test_programs_of_the_cpu(guest: Guest, arch: Arch, program: Callable[[str], str]) -> None:
    """Run what tests/system/guest/arch has for this CPU alone."""
    failed = {}
    for path in sorted((GUEST_PROGRAMS / "arch" / arch.name).glob("*.c")):
        done = guest.run([program(f"arch/{arch.name}/{path.stem}")], timeout=300)
        if (done.returncode, done.text) != (0, "ok"):
            failed[path.stem] = f"{done.returncode} {done.text} {done.stderr}"
    assert not failed


def test_a_hostile_program_only_harms_itself(guest: Guest, program: Callable[[str], str]) -> None:
    done = guest.run([program("privileged")])
    assert (done.returncode, done.text) == (0, "ok"), done.stderr
    assert guest.run(["true"]).returncode == 0


def test_a_large_file_comes_in_and_goes_out_unharmed(guest: Guest, tmp_path: Path) -> None:
    """24 MiB each way over the user network, through the disk."""
    data = random.Random(1).randbytes(24 << 20)
    (tmp_path / "data").write_bytes(data)
    received = hashlib.sha256()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    def receive(listener: socket.socket) -> None:
        with listener.accept()[0] as peer:
            while chunk := peer.recv(65536):
                received.update(chunk)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, socket.create_server(
            ("127.0.0.1", 0)) as listener:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        receiver = threading.Thread(target=receive, args=(listener,), daemon=True)
        receiver.start()
        url = f"http://10.0.2.2:{server.server_port}/data"
        done = guest.run(f"cd /var/tmp && wget -q -O data {url} && sync && echo 3 > /proc/sys/vm/drop_caches "
                         f"&& sha256sum data && nc 10.0.2.2 {listener.getsockname()[1]} < data", timeout=300)
        receiver.join(60)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert done.text.split()[0] == hashlib.sha256(data).hexdigest()
    assert received.hexdigest() == hashlib.sha256(data).hexdigest()
    guest.run(["rm", "/var/tmp/data"])


def test_much_data_through_ssh(guest: Guest) -> None:
    data = random.Random(2).randbytes(4 << 20)
    done = guest.run("cat", input=data)
    assert done.stdout_bytes == data


def test_ext4_survives_much_writing(guest: Guest) -> None:
    done = guest.run("""set -e
mkdir /var/tmp/tree && cd /var/tmp/tree
for i in $(seq 1 200); do echo "$i $i" > file$i; done
for i in $(seq 1 2 200); do rm file$i; done
dd if=/dev/urandom of=large bs=64k count=200 2>/dev/null
first=$(sha256sum < large); sync; echo 3 > /proc/sys/vm/drop_caches
[ "$first" = "$(sha256sum < large)" ]; [ "$(ls | wc -l)" = 101 ]; [ "$(cat file200)" = "200 200" ]
cd / && rm -r /var/tmp/tree""")
    assert done.returncode == 0, done.stderr


def test_a_module_loads_and_goes(guest: Guest) -> None:
    done = guest.run("set -e; modprobe dummy; grep -q ^dummy /proc/modules; ip link add dummy9 type dummy; "
                     "ip link del dummy9; rmmod dummy; ! grep -q ^dummy /proc/modules")
    assert done.returncode == 0, done.stderr


def test_hundred_processes_at_once(guest: Guest) -> None:
    done = guest.run("for i in $(seq 1 200); do (sleep 1; echo $i) & done | sort -n | tail -1; wait")
    assert (done.returncode, done.text) == (0, "200")


def test_out_of_memory_kills_the_culprit_only(guest: Guest) -> None:
    done = guest.run("tail /dev/zero; echo $?", timeout=300)
    assert done.text == "137"
    assert guest.run(["true"]).returncode == 0


def test_the_clock_is_right(guest: Guest) -> None:
    assert abs(int(guest.run(["date", "+%s"]).text) - time.time()) < 60


def test_a_wake_up_need_not_be_far_off(guest: Guest) -> None:
    """The clock event device takes short times, so that a short sleep ends in time."""
    done = guest.run("sed -n 's/^ min_delta_ns: *//p' /proc/timer_list")
    assert 0 < int(done.text.split()[0]) <= 2000


def test_what_l4_counts_is_for_root_only(guest: Guest) -> None:
    assert guest.run(["stat", "-c", "%a %U", "/sys/hypervisor/counters"]).text == "400 root"
    assert guest.run(["cat", "/sys/hypervisor/counters"]).returncode == 0


def test_only_ssh_listens(guest: Guest) -> None:
    done = guest.run("netstat -ltn | grep LISTEN")
    assert [line.split()[3] for line in done.text.splitlines()] == ["0.0.0.0:22"]


def test_nothing_but_our_key_opens_the_door(guest: Guest) -> None:
    import paramiko

    port, keys = guest.session.machine.port, guest.session.keys
    assert keys is not None
    client = paramiko.SSHClient()
    client.get_host_keys().add(f"[127.0.0.1]:{port}", keys.host.get_name(), keys.host)
    with pytest.raises(paramiko.AuthenticationException):
        client.connect("127.0.0.1", port, "root", pkey=paramiko.ECDSAKey.generate(),
                       allow_agent=False, look_for_keys=False)
    with pytest.raises(paramiko.AuthenticationException):
        client.connect("127.0.0.1", port, "root", password="", allow_agent=False, look_for_keys=False)
    client.close()


def test_the_kernel_log_has_no_complaints(guest: Guest) -> None:
    # The report of the out-of-memory killer, whose test may have run before, has a call trace; it is no complaint.
    # Where several CPUs have lists of free pages, its victim may be refused one page more, and that is reported.
    lines = guest.run(["dmesg"]).text.splitlines()
    reports = [("invoked oom-killer", "Killed process")]
    if int(guest.run(["nproc"]).text) > 1:
        reports.append(("tail: page allocation failure", "pages reserved"))
    for first, last in reports:
        for start in reversed([number for number, line in enumerate(lines) if first in line]):
            end = next(number for number in range(start, len(lines)) if last in lines[number])
            del lines[start:end + 1]
    log = "\n".join(lines).lower()
    for word in ("bug:", "warning:", "oops", "call trace", "info: task", "self-detected"):
        assert word not in log
