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
from orchestration.machine.session import Session

GUEST_PROGRAMS = Path(__file__).parent / "guest"
PROGRAMS = ("fork_exec", "signals", "registers", "threads", "memory", "trace", "clocks", "sockets", "user_end",
            "page_age", "page_rights", "pointer_tags", "barriers", "notify")


def test_it_is_linux_6_12(guest: Session, arch: Arch) -> None:
    done = guest.run(["uname", "-srm"])
    assert done.status == 0
    system, release, machine = done.text.split()
    assert system == "Linux"
    assert release.startswith("6.12")
    assert machine == arch.name


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_comes_through(guest: Session, status: int) -> None:
    assert guest.run(["sh", "-c", f"exit {status}"]).status == status


def test_arguments_come_through_exactly(guest: Session) -> None:
    arguments = ["a b", "'", '"', "$HOME", "*", "\\", "", "new\nline", "ä"]
    done = guest.run(["printf", "<%s>", *arguments])
    assert done.out.decode() == "".join(f"<{argument}>" for argument in arguments)


def test_a_signal_becomes_128_plus_its_number(guest: Session) -> None:
    assert guest.run(["sh", "-c", "kill -9 $$"]).status == 137


def test_output_and_errors_stay_apart(guest: Session) -> None:
    done = guest.shell_run("echo out; echo err >&2")
    assert (done.out, done.err) == (b"out\n", b"err\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(guest: Session, program: Callable[[str], str], name: str) -> None:
    done = guest.run([program(name)], limit=300.0)
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace")


def test_programs_of_the_cpu(guest: Session, arch: Arch, program: Callable[[str], str]) -> None:
    """Run what tests/system/guest/arch has for this CPU alone."""
    failed = {}
    for path in sorted((GUEST_PROGRAMS / "arch" / arch.name).glob("*.c")):
        done = guest.run([program(f"arch/{arch.name}/{path.stem}")], limit=300.0)
        if (done.status, done.text) != (0, "ok"):
            failed[path.stem] = f"{done.status} {done.text} {done.err.decode(errors='replace')}"
    assert not failed


def test_a_hostile_program_only_harms_itself(guest: Session, program: Callable[[str], str]) -> None:
    done = guest.run([program("privileged")])
    assert (done.status, done.text) == (0, "ok"), done.err.decode(errors="replace")
    assert guest.run(["true"]).status == 0


def test_a_large_file_comes_in_and_goes_out_unharmed(guest: Session, tmp_path: Path) -> None:
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
        done = guest.shell_run(f"cd /var/tmp && wget -q -O data {url} && sync && echo 3 > /proc/sys/vm/drop_caches "
                               f"&& sha256sum data && nc 10.0.2.2 {listener.getsockname()[1]} < data", limit=300.0)
        receiver.join(60)
        server.shutdown()
    assert done.status == 0, done.err.decode()
    assert done.text.split()[0] == hashlib.sha256(data).hexdigest()
    assert received.hexdigest() == hashlib.sha256(data).hexdigest()
    guest.run(["rm", "/var/tmp/data"])


def test_much_data_through_ssh(guest: Session) -> None:
    data = random.Random(2).randbytes(4 << 20)
    done = guest.shell_run("cat", source=data)
    assert done.out == data


def test_ext4_survives_much_writing(guest: Session) -> None:
    done = guest.shell_run("""set -e
mkdir /var/tmp/tree && cd /var/tmp/tree
for i in $(seq 1 200); do echo "$i $i" > file$i; done
for i in $(seq 1 2 200); do rm file$i; done
dd if=/dev/urandom of=large bs=64k count=200 2>/dev/null
first=$(sha256sum < large); sync; echo 3 > /proc/sys/vm/drop_caches
[ "$first" = "$(sha256sum < large)" ]; [ "$(ls | wc -l)" = 101 ]; [ "$(cat file200)" = "200 200" ]
cd / && rm -r /var/tmp/tree""")
    assert done.status == 0, done.err.decode()


def test_a_module_loads_and_goes(guest: Session) -> None:
    done = guest.shell_run("set -e; modprobe dummy; grep -q ^dummy /proc/modules; ip link add dummy9 type dummy; "
                           "ip link del dummy9; rmmod dummy; ! grep -q ^dummy /proc/modules")
    assert done.status == 0, done.err.decode()


def test_hundred_processes_at_once(guest: Session) -> None:
    done = guest.shell_run("for i in $(seq 1 200); do (sleep 1; echo $i) & done | sort -n | tail -1; wait")
    assert (done.status, done.text) == (0, "200")


def test_out_of_memory_kills_the_culprit_only(guest: Session) -> None:
    done = guest.shell_run("tail /dev/zero; echo $?", limit=300.0)
    assert done.text == "137"
    assert guest.run(["true"]).status == 0


def test_the_clock_is_right(guest: Session) -> None:
    assert abs(int(guest.run(["date", "+%s"]).text) - time.time()) < 60


def test_a_wake_up_need_not_be_far_off(guest: Session) -> None:
    """The clock event device takes short times, so that a short sleep ends in time."""
    done = guest.shell_run("sed -n 's/^ min_delta_ns: *//p' /proc/timer_list")
    assert 0 < int(done.text.split()[0]) <= 2000


def test_what_l4_counts_is_for_root_only(guest: Session) -> None:
    assert guest.run(["stat", "-c", "%a %U", "/sys/hypervisor/counters"]).text == "400 root"
    assert guest.run(["cat", "/sys/hypervisor/counters"]).status == 0


def test_only_ssh_listens(guest: Session) -> None:
    done = guest.shell_run("netstat -ltn | grep LISTEN")
    assert [line.split()[3] for line in done.text.splitlines()] == ["0.0.0.0:22"]


def test_nothing_but_our_key_opens_the_door(guest: Session) -> None:
    import paramiko

    client = paramiko.SSHClient()
    client.get_host_keys().add(f"[127.0.0.1]:{guest.machine.port}", guest.keys.host.get_name(), guest.keys.host)
    with pytest.raises(paramiko.AuthenticationException):
        client.connect("127.0.0.1", guest.machine.port, "root", pkey=paramiko.ECDSAKey.generate(),
                       allow_agent=False, look_for_keys=False)
    with pytest.raises(paramiko.AuthenticationException):
        client.connect("127.0.0.1", guest.machine.port, "root", password="", allow_agent=False, look_for_keys=False)
    client.close()


def test_the_kernel_log_has_no_complaints(guest: Session) -> None:
    # The report of the out-of-memory killer, whose test may have run before, has a call trace; it is no complaint.
    lines = guest.run(["dmesg"]).text.splitlines()
    starts = [number for number, line in enumerate(lines) if "invoked oom-killer" in line]
    for start in reversed(starts):
        end = next(number for number in range(start, len(lines)) if "Killed process" in lines[number])
        del lines[start:end + 1]
    log = "\n".join(lines).lower()
    for word in ("bug:", "warning:", "oops", "call trace", "info: task", "self-detected"):
        assert word not in log
