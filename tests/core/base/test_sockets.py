"""Places to listen: a stale file is replaced, a live server's never, and what is inherited is found by its address."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.base import sockets
from mailquota.core.base.endpoints import ListenAddress, parse_listen
from mailquota.core.base.errors import MailquotaError, SettingsError
from mailquota.core.base.socket_files import AddressInUseError, SocketOwner, answers, identity, remove
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.ports import free_port

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
NOBODY = 65534
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, and open to other users."""
    with temporary_folder() as found:
        yield found


def unix(path: Path) -> ListenAddress:
    return ListenAddress("unix", path=str(path))


def bind(address: ListenAddress, owner: SocketOwner | None = None) -> socket.socket:
    sock, warning, _ = sockets.bind(address, owner)
    assert not warning
    return sock


def leave_stale(path: Path) -> None:
    """A socket file as a killed engine leaves it."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


# ---- unix


def test_a_new_socket_listens_with_the_mode_that_was_asked_for(folder: Path) -> None:
    with bind(unix(folder / "s"), SocketOwner(0o640)) as sock:
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o640
        assert answers(str(folder / "s"))
        assert sock.getsockname() == str(folder / "s")


def test_a_stale_file_is_replaced(folder: Path) -> None:
    leave_stale(folder / "s")
    with bind(unix(folder / "s")):
        assert answers(str(folder / "s"))


def test_a_live_one_is_never_stolen(folder: Path) -> None:
    """Its server goes on with all that wait for it."""
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(folder / "s"))
        live.listen(1)
        with pytest.raises(AddressInUseError, match="another server answers there"):
            sockets.bind(unix(folder / "s"))
        assert answers(str(folder / "s"))


def test_a_server_that_is_too_busy_to_accept_is_alive(folder: Path) -> None:
    """Its queue is full, so it can't be asked."""
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(socket.socket(socket.AF_UNIX))
        live.bind(str(folder / "s"))
        live.listen(0)
        for _ in range(5):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(folder / "s"))
        with pytest.raises(AddressInUseError):
            sockets.bind(unix(folder / "s"))


def test_a_socket_that_is_no_stream_is_left_alone(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(folder / "s"))
        with pytest.raises(SettingsError, match="wrong type"):
            sockets.bind(unix(folder / "s"))
    assert (folder / "s").exists()


def make_file(path: Path) -> None:
    path.write_text("precious")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [make_file, make_folder, make_link, os.mkfifo])
def test_what_is_no_socket_is_never_removed(folder: Path, make: Callable[[Path], None]) -> None:
    make(folder / "s")
    with pytest.raises(SettingsError, match="a file that is not a socket"):
        sockets.bind(unix(folder / "s"))
    assert os.path.lexists(folder / "s")


def test_a_missing_folder_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match=f"the folder {folder}/none does not exist") as caught:
        sockets.bind(unix(folder / "none/s"))
    assert caught.value.exit_code == 2


def test_a_file_in_place_of_the_folder_is_named(folder: Path) -> None:
    make_file(folder / "file")
    with pytest.raises(SettingsError, match="Not a directory"):
        sockets.bind(unix(folder / "file/s"))


TRY = """
import os, sys
from mailquota.core.base import sockets
from mailquota.core.base.endpoints import ListenAddress
from mailquota.core.base.errors import MailquotaError
if len(sys.argv) > 2:  # late: Python itself may lie where that user can't read it
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
sys.stdin.readline()
try:
    sock, *_ = sockets.bind(ListenAddress("unix", path=sys.argv[1]))
except MailquotaError as error:
    print(type(error).__name__, error)
else:
    print("listening", flush=True)
    sys.stdin.readline()
"""


def attempt(path: Path, user: int | None = None) -> subprocess.Popen[str]:
    """Another process that binds when it is sent a line, and holds what it has until the next."""
    command = [sys.executable, "-c", TRY, str(path), *([] if user is None else [str(user)])]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@as_root
def test_a_folder_that_may_not_be_written_is_named(folder: Path) -> None:
    """As another user than its owner."""
    done = attempt(folder / "s", NOBODY)
    out, _ = done.communicate("\n")
    assert out == f"SettingsError can't listen on unix:{folder}/s: Permission denied\n"


@as_root
def test_a_live_server_that_we_may_not_ask_is_not_stolen(folder: Path) -> None:
    """The folder lets us replace its file, its mode keeps us from asking."""
    folder.chmod(0o777)
    with bind(unix(folder / "s"), SocketOwner(0o600)):
        out, _ = attempt(folder / "s", NOBODY).communicate("\n")
        assert out == f"SettingsError can't listen on unix:{folder}/s: Permission denied\n"
        assert answers(str(folder / "s"))


@as_root
def test_root_gives_the_socket_to_its_owner(folder: Path) -> None:
    user = pwd.getpwuid(NOBODY)
    group = grp.getgrgid(NOBODY).gr_name
    with (
        bind(unix(folder / "s"), SocketOwner(0o660, user=user.pw_name)),
        bind(unix(folder / "t"), SocketOwner(0o660, group=group)),
    ):
        assert (folder / "s").stat().st_uid == NOBODY
        assert (folder / "t").stat().st_gid == NOBODY
        assert (folder / "t").stat().st_uid == 0


@pytest.mark.parametrize("owner", [SocketOwner(0o660, user="no-such-user"), SocketOwner(0o660, group="no-such-group")])
def test_an_unknown_owner_is_a_warning(folder: Path, owner: SocketOwner) -> None:
    """It listens all the same: a missing group must not keep an engine from answering."""
    sock, warning, _ = sockets.bind(unix(folder / "s"), owner)
    with sock:
        assert "no-such-" in warning
        assert "it stays the engine's" in warning
        assert answers(str(folder / "s"))


def test_only_root_gives_sockets_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("mailquota.core.base.others_folders.os.chown", refuse)
    sock, warning, _ = sockets.bind(unix(folder / "s"), SocketOwner(0o660, user="root"))
    with sock:
        assert "only root can give the socket to root" in warning


def test_a_socket_that_fails_half_way_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("mailquota.core.base.others_folders.os.chmod", fail)
    with pytest.raises(SettingsError, match="Read-only file system"):
        sockets.bind(unix(folder / "s"))
    assert not (folder / "s").exists()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_threads_that_start_at_once_exactly_one_wins(folder: Path, stale: bool) -> None:
    """Whether there was a file before or not, twenty times."""
    for number in range(20):
        path = folder / f"s{number}"
        if stale:
            leave_stale(path)
        won, lost = race(unix(path), 4)
        assert (len(won), len(lost)) == (1, 3)
        assert all(isinstance(error, AddressInUseError) for error in lost)
        with won[0]:
            assert answers(str(path))


def race(address: ListenAddress, count: int) -> tuple[list[socket.socket], list[MailquotaError]]:
    won: list[socket.socket] = []
    lost: list[MailquotaError] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        try:
            won.append(sockets.bind(address)[0])
        except MailquotaError as error:
            lost.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


def test_of_two_processes_exactly_one_wins(folder: Path) -> None:
    """They hold different descriptions of the folder, as two engines do."""
    leave_stale(folder / "s")
    contenders = [attempt(folder / "s") for _ in range(4)]
    for one in contenders:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    said = [one.stdout.readline().split()[0] for one in contenders if one.stdout is not None]
    for one in contenders:
        one.communicate("\n")
    assert sorted(said) == ["AddressInUseError"] * 3 + ["listening"]


def test_only_our_own_file_is_removed(folder: Path) -> None:
    """Not the one that another engine has put in its place meanwhile."""
    path = folder / "s"
    with bind(unix(path)):
        ours = identity(str(path))
        assert ours is not None
        path.unlink()
        with bind(unix(path)):
            remove(str(path), ours)
            assert answers(str(path))
        theirs = identity(str(path))
        assert theirs is not None
        remove(str(path), theirs)
    assert not path.exists()
    remove(str(path), ours)


# ---- inet


def test_an_address_in_use_is_told_apart(folder: Path) -> None:
    address = ListenAddress("inet", host="127.0.0.1", port=free_port())
    in_use = pytest.raises(AddressInUseError, match=f"can't listen on {address}: Address already in use$")
    with bind(address), in_use:
        sockets.bind(address)
    bind(address).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "x" * 64 + ".example"])
def test_a_host_that_is_not_here_is_a_settings_error(host: str) -> None:
    with pytest.raises(SettingsError, match="can't listen on inet:"):
        sockets.bind(ListenAddress("inet", host=host, port=free_port()))


def test_both_families_may_be_named() -> None:
    port = free_port()
    with bind(ListenAddress("inet", host="127.0.0.1", port=port)):
        try:
            other = bind(ListenAddress("inet", host="::1", port=port))
        except SettingsError:
            pytest.skip("no IPv6 here")
        with other, bind(ListenAddress("inet", host="::", port=port + 1)) as six:
            assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


# ---- inherited


@contextlib.contextmanager
def descriptors(monkeypatch: pytest.MonkeyPatch, *given: socket.socket) -> Iterator[dict[str, str]]:
    """Have these be what LISTEN_FDS counts; the numbers follow each other, as systemd makes them."""
    start = 200
    for number, sock in enumerate(given, start):
        os.dup2(sock.fileno(), number)
    monkeypatch.setattr(sockets, "LISTEN_FDS_START", start)
    yield {"LISTEN_FDS": str(len(given)), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "whatever:else"}
    for number in range(start, start + len(given)):
        with contextlib.suppress(OSError):
            os.close(number)


def test_inherited_sockets_are_known_by_their_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever name systemd gave them."""
    port = free_port()
    address = ListenAddress("inet", host="127.0.0.1", port=port)
    with bind(unix(folder / "s")) as one, bind(address) as other, descriptors(monkeypatch, one, other) as environ:
        found, foreign, _ = sockets.inherited(environ)
        assert set(found) == foreign == {f"unix:{folder.resolve()}/s", f"inet:127.0.0.1:{port}"}
        for sock in found.values():
            assert not sock.get_inheritable()
            sock.close()


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": "two"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "-3"}],
)
def test_sockets_for_another_process_are_not_ours(environ: dict[str, str]) -> None:
    assert sockets.inherited(environ).sockets == {}


def test_what_is_inherited_and_does_not_listen_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, descriptors(monkeypatch, theirs) as environ:
        assert sockets.inherited(environ).sockets == {}
        ours.sendall(b"still connected")
        assert theirs.recv(100) == b"still connected"
    assert "does not listen" in caplog.text


def test_fewer_descriptors_than_promised_are_no_crash(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "LISTEN_FDS_START", 900)
    assert sockets.inherited({"LISTEN_FDS": "2", "LISTEN_PID": "0"}).sockets == {}
    assert "descriptor 900 is not a socket" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inet:127.0.0.1:12340", "inet:127.0.0.1:12340"),
        ("inet:[::1]:12340", "inet:[::1]:12340"),
        ("inet:[0:0:0:0:0:0:0:1]:12340", "inet:[::1]:12340"),
        ("inet:no-such-host.invalid:1", "inet:no-such-host.invalid:1"),
    ],
)
def test_two_ways_to_write_an_address_are_one(text: str, expected: str) -> None:
    assert sockets.canonical(parse_listen(text)) == expected


def test_links_are_followed(folder: Path) -> None:
    """/var/run is /run."""
    (folder / "run").mkdir()
    (folder / "var").symlink_to(folder / "run")
    assert sockets.canonical(unix(folder / "var/s")) == sockets.canonical(unix(folder / "run/s"))


# ---- descriptors


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 524_288, (65_536, 524_288)),
        (1024, 4096, (4096, 4096)),
        (4096, 4096, None),
        (100_000, 200_000, None),
        (1024, resource.RLIM_INFINITY, (65_536, resource.RLIM_INFINITY)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_as_many_descriptors_as_we_may_have_and_can_use(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: tuple[int, int] | None
) -> None:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr("mailquota.core.base.sockets.resource.getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr("mailquota.core.base.sockets.resource.setrlimit", lambda _, limits: found.append(limits))
    sockets.allow_many()
    assert found == ([] if expected is None else [expected])
