"""What the service unit shuts, tried from inside: a program that systemd starts as it starts the engine."""

from __future__ import annotations

import json
import re

import pytest

from tests.core.smtpds import Smtpds
from tests.core.worlds import FULL, JOHN, OVERQUOTA
from tests.mailserver.process import wait_until
from tests.mailserver.systemd import MAILQUOTA, ROOT, SystemdNamespace
from tests.real.test_service import _SOCKET, apply, host, journal, main_pid

__all__ = ["host"]  # the fixture

pytestmark = pytest.mark.server

_FOLDERS = ("/var/mail-world/vmail", "/var/lib/mailquota", "/var/spool/postfix/maildrop")
_ELSEWHERE = "192.0.2.1"
# The numbers of the system calls are those of x86-64 and of arm64; io_uring_setup has one on both.
_TRY = """
import ctypes, errno, json, os, platform, resource, shutil, socket, subprocess
calls = {"x86_64": {"add_key": 248, "io_setup": 206}}.get(platform.machine(), {"add_key": 217, "io_setup": 0})
libc, found = ctypes.CDLL(None, use_errno=True), {}
for name, number in {**calls, "io_uring_setup": 425}.items():
    ctypes.set_errno(0)
    libc.syscall(number, 0, 0, 0, 0, 0)
    found[name] = errno.errorcode.get(ctypes.get_errno(), "")
for folder in FOLDERS:
    if not os.path.isdir(folder):
        continue  # Postfix makes its maildrop at its first start
    program = folder + "/program"
    shutil.copy("/bin/true", program)
    os.chmod(program, 0o700)
    try:
        found[folder] = subprocess.run([program]).returncode
    except OSError as error:
        found[folder] = errno.errorcode[error.errno]
    os.unlink(program)
found["core"] = resource.getrlimit(resource.RLIMIT_CORE)
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("ELSEWHERE", 9))
    found["elsewhere"] = ""
except OSError as error:
    found["elsewhere"] = errno.errorcode[error.errno]
json.dump(found, open("/var/lib/mailquota/found", "w"))
"""


def found_inside(host: SystemdNamespace, *more: str) -> dict[str, object]:
    """What the program found that runs before the engine, with these lines more in the unit."""
    program = host.path("/opt/mailquota/try.py")
    program.write_text(_TRY.replace("FOLDERS", repr(_FOLDERS)).replace("ELSEWHERE", _ELSEWHERE))
    program.chmod(0o644)
    drop_in = host.path("/etc/systemd/system/mailquota.service.d")
    drop_in.mkdir(exist_ok=True)
    first = ("[Service]", "ExecStartPre=/opt/python/bin/python3 /opt/mailquota/try.py", *more)
    (drop_in / "try.conf").write_text("\n".join(first) + "\n")
    host.check(["systemctl", "daemon-reload"])
    assert host.run(["systemctl", "restart", "mailquota.service"]).returncode == 0, journal(host)
    found = json.loads(host.path("/var/lib/mailquota/found").read_text())
    assert isinstance(found, dict)
    return found


def level(host: SystemdNamespace) -> str:
    """What systemd rates the service."""
    security = host.check(["systemd-analyze", "security", "--no-pager", "mailquota.service"])
    found = re.search(r"Overall exposure level for mailquota.service: ([0-9.]+)", security)
    assert found is not None
    return found[1]


def test_what_is_shut_is_shut(host: SystemdNamespace) -> None:
    """Keyrings, two ways past the filter of system calls, files that it may write and would run, core dumps."""
    host.check(["ip", "address", "add", f"{_ELSEWHERE}/32", "dev", "lo"])
    apply(host, "install")
    found = found_inside(host)
    assert {name: found[name] for name in ("add_key", "io_setup", "io_uring_setup")} == dict.fromkeys(
        ("add_key", "io_setup", "io_uring_setup"), "EPERM"
    )
    assert {found[folder] for folder in _FOLDERS if folder in found} == {"EACCES"}
    assert set(_FOLDERS[:2]) <= found.keys()
    assert found["core"] == [0, 0]
    assert found["elsewhere"] == ""


def test_where_all_is_local_the_network_can_be_shut(host: SystemdNamespace) -> None:
    """With the two lines of the docs, whose figure is the one measured. All works as before."""
    host.check(["ip", "address", "add", f"{_ELSEWHERE}/32", "dev", "lo"])
    apply(host, "install")
    text = (ROOT / "docs" / "service.md").read_text()
    lines = ("IPAddressDeny=any", "IPAddressAllow=localhost")
    assert all(f"`{line}`" in text for line in lines)
    assert found_inside(host, *lines)["elsewhere"] == "EPERM"
    assert f"rated **{level(host)}**" in text
    with Smtpds(host.path(_SOCKET), {FULL: OVERQUOTA, JOHN: "DUNNO"}, 2) as smtpds:
        smtpds.wait_for(20)
    assert smtpds.wrong == []
    assert "sent to" in host.check([MAILQUOTA, "warn", "90", JOHN])


def test_memory_and_tasks_are_bounded_far_above_what_is_used(host: SystemdNamespace) -> None:
    """A child that is ended for want of memory does not take the engine with it."""
    apply(host, "install")
    names = ("MemoryMax", "TasksMax", "OOMPolicy")
    shown = host.check(["systemctl", "show", f"--property={','.join(names)}", "mailquota.service"])
    values = dict(line.split("=", 1) for line in shown.split())
    memory, tasks = int(values["MemoryMax"]), int(values["TasksMax"])
    assert values["OOMPolicy"] == "continue"
    with Smtpds(host.path(_SOCKET), {FULL: OVERQUOTA, JOHN: "DUNNO"}, 50) as smtpds:
        smtpds.wait_for(1000)
        status = host.path(f"/proc/{main_pid(host)}/status").read_text()
        used = {name: int(value) for name, value in re.findall(r"^(VmHWM|Threads):\s+(\d+)", status, re.MULTILINE)}
    assert smtpds.wrong == []
    assert 8 * used["VmHWM"] * 1024 < memory
    assert 8 * used["Threads"] < tasks
    group = host.path("/sys/fs/cgroup/system.slice/mailquota.service")
    for file, bound in (("memory.max", memory), ("pids.max", tasks)):
        if (group / file).exists():  # where this machine has the controller in cgroup v2
            assert int((group / file).read_text()) == bound


def test_an_engine_whose_program_is_ended_goes_on(host: SystemdNamespace) -> None:
    """As the kernel ends one for want of memory: SIGKILL to a process of the service that is not the engine."""
    apply(host, "install")
    first = main_pid(host)
    drop = "/sys/fs/cgroup/system.slice/mailquota.service/cgroup.procs"
    host.check(["sh", "-c", f"sleep 600 & echo $! > {drop}; kill -KILL $!; wait $! || true"])
    with Smtpds(host.path(_SOCKET), {FULL: OVERQUOTA, JOHN: "DUNNO"}, 1) as smtpds:
        assert wait_until(lambda: smtpds.answers > 10, 20), journal(host)
    assert main_pid(host) == first
