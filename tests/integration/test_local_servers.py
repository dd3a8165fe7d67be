"""PostgreSQL and Valkey from the wheels: they start, survive kill -9, and leave nothing behind."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.local import binaries
from ops.local.account import Account
from ops.local.binaries import postgres_programs
from ops.local.identity import Identity, noted, read_state
from ops.local.launch import write_privately
from ops.local.ports import free_port
from ops.local.servers import PortTaken, PostgresServer, ServerFailed, ValkeyServer
from tests.support.databases import connect
from tests.support.processes import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.embedded_only
Server = PostgresServer | ValkeyServer
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@pytest.fixture(scope="module")
def korean_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long path with Korean, spaces and a quote, under a folder that only its owner may enter."""
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    return private / "카카오톡 정시 발송" / ("아주 긴 폴더 이름" * 4) / "서버's 자료"


@pytest.fixture(scope="module")
def postgres(korean_folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(korean_folder / "postgres")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def valkey(korean_folder: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(korean_folder / "valkey")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder directly under /tmp, so that anybody can get there."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(params=["postgres", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each of the two in turn, running."""
    chosen: Server = request.getfixturevalue(request.param)
    chosen.start()
    yield chosen
    chosen.wanted_port = None


def lives(identity: Identity) -> bool:
    return identity.alive


def bystander_of(**as_user: int) -> subprocess.Popen[bytes]:
    """A process that has nothing to do with us; it ends when its input is closed."""
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, **as_user)  # type: ignore[call-overload, no-any-return]


def ask(server: Server) -> None:
    """Use the server through its URL."""
    if isinstance(server, ValkeyServer):
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    else:
        with connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_new_database_is_korean_durable_and_sorts_the_same_everywhere(postgres: PostgresServer) -> None:
    postgres.start()
    with connect(postgres.url) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("TimeZone", "server_encoding", "fsync", "max_connections", "shared_buffers")
        }
        order = connection.execute(
            "SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert shown == {
        "TimeZone": ("Asia/Seoul",), "server_encoding": ("UTF8",), "fsync": ("on",),
        "max_connections": ("200",), "shared_buffers": ("128MB",),
    }  # fmt: skip
    assert order == ("b", "C.UTF-8")


def test_valkey_keeps_what_it_is_told_and_allows_no_debugging(valkey: ValkeyServer) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        shown = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "enable-debug-command")
    assert shown == {
        "appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction",
        "enable-debug-command": "no",
    }  # fmt: skip


def test_debugging_is_allowed_on_a_valkey_made_for_tests(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.execute_command("DEBUG", "SLEEP", "0") == b"OK"


def test_nobody_gets_in_without_the_password(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    postgres.start()
    valkey.start()
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(postgres.url.replace(postgres.password, "guessed"))
    without = redis.Redis(port=valkey.port, retry=Retry(NoBackoff(), 0))
    with without as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_the_servers_listen_on_loopback_only(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    for server in (postgres, valkey):
        server.start()
        assert server.pid is not None
        found = psutil.Process(server.pid).net_connections()
        listening = [tuple(one.laddr) for one in found if one.status == psutil.CONN_LISTEN]
        assert listening == [("127.0.0.1", server.port)]


def test_passwords_are_for_the_owner_only_and_show_in_no_command_line(server: Server) -> None:
    assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600
    assert server.pid is not None
    assert server.password not in " ".join(psutil.Process(server.pid).cmdline())
    for file in server.folder.iterdir():
        if file.is_file() and server.password in file.read_text(errors="replace"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_server_has_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(server: Server) -> None:
    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_a_stopped_server_is_gone_and_starts_again_with_its_data_where_it_was(server: Server) -> None:
    port = server.port
    remember(server, "전날")
    server.stop()
    assert not server.running
    server.start()
    assert server.port == port
    assert recall(server) == "전날"


def test_a_server_killed_with_signal_9_comes_back_with_all_it_had_confirmed(server: Server) -> None:
    remember(server, "확인됨")
    if isinstance(server, ValkeyServer):  # everysec: a second may be lost, so wait until it is on disk
        with redis.Redis.from_url(server.url) as client:
            assert client.waitaof(1, 0, 5000)[0] == 1
    before = server.pid
    server.kill()
    assert not server.running
    server.start()
    assert server.pid != before
    assert recall(server) == "확인됨"


def test_a_restart_as_after_a_power_cut_keeps_the_address(server: Server) -> None:
    url = server.url
    server.restart_immediate()
    assert server.url == url
    ask(server)


def test_killing_postgres_leaves_none_of_its_processes(postgres: PostgresServer) -> None:
    postgres.start()
    assert postgres.pid is not None
    connection = connect(postgres.url)
    main = Identity.of(postgres.pid)
    assert main is not None
    family = main.descendants()
    assert len(family) > 3
    postgres.kill()
    assert not [one for one in family if one.alive]
    connection.close()


def test_a_zombie_is_not_a_running_server() -> None:
    child = bystander_of()
    identity = Identity.of(child.pid)
    assert identity is not None
    assert lives(identity)
    child.kill()
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not lives(identity)
    child.communicate()


STARTS_AND_DIES = """
import os, pathlib, signal, sys
from ops.local.servers import PostgresServer, ValkeyServer
kind = {"postgres": PostgresServer, "valkey": ValkeyServer}[sys.argv[1]]
kind(pathlib.Path(sys.argv[2]), die_with_parent=sys.argv[3] == "dies").start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_in_a_process_that_is_killed(server: Server, *, dies: bool) -> Identity:
    """What a killed run leaves: the identity noted in the state file."""
    ended = subprocess.run(
        [sys.executable, "-c", STARTS_AND_DIES, server.name, str(server.folder), "dies" if dies else "stays"],
        cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL
    state = read_state(server.state)
    return Identity(state["pid"], state["started"])


def test_what_a_killed_run_left_is_stopped_by_the_next_start(server: Server) -> None:
    server.stop()
    left = start_in_a_process_that_is_killed(server, dies=False)
    assert lives(left)
    server.start()
    assert not lives(left)
    assert server.pid != left.pid
    ask(server)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="told by the Linux kernel only")
def test_a_server_does_not_outlive_a_killed_run(server: Server) -> None:
    server.stop()
    left = start_in_a_process_that_is_killed(server, dies=True)
    assert left.wait_gone(10.0)


def test_a_pid_that_belongs_to_another_process_by_now_is_left_alone(server: Server) -> None:
    server.stop()
    bystander = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    write_privately(server.state, {**read_state(server.state), "pid": bystander.pid})
    assert noted(server.state) is None
    server.start()
    assert bystander.poll() is None
    ask(server)
    bystander.communicate()


@as_root
def test_a_pid_file_of_a_dead_postgres_whose_pid_is_in_use_does_not_stop_the_next(
    postgres: PostgresServer,
) -> None:
    """Postgres itself would refuse: it sees a living process of its own account under that pid."""
    postgres.start()
    pid_file = postgres.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.kill()
    nobody = pwd.getpwnam("nobody")
    bystander = bystander_of(user=nobody.pw_uid, group=nobody.pw_gid)
    pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
    os.chown(pid_file, nobody.pw_uid, nobody.pw_gid)
    write_privately(postgres.state, {**read_state(postgres.state), "pid": bystander.pid})
    postgres.start()
    ask(postgres)
    assert bystander.poll() is None
    bystander.communicate()


def test_a_taken_port_that_was_asked_for_is_a_clear_error(server: Server) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        server.wanted_port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {server.wanted_port} is taken by another program"):
            server.start()
    assert not server.running


def test_a_port_taken_meanwhile_is_given_up_for_a_free_one(server: Server) -> None:
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)):
        server.start()
        ask(server)


def test_a_port_is_taken_below_those_that_clients_are_given() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < lowest


def test_a_broken_database_is_an_error_that_shows_the_log(postgres: PostgresServer) -> None:
    postgres.stop()
    control = postgres.data / "global" / "pg_control"
    whole = control.read_bytes()
    control.write_bytes(b"broken")
    with pytest.raises(ServerFailed, match="pg_control") as caught:
        postgres.start()
    assert str(postgres.log) in str(caught.value)
    control.write_bytes(whole)
    postgres.start()


def test_an_initialisation_that_was_killed_half_way_is_done_again(tmp_path: Path) -> None:
    half = PostgresServer(tmp_path / "postgres", durable=False)
    half.data.mkdir(parents=True)
    (half.data / "PG_VERSION").write_text("18\n")
    half.start()
    ask(half)
    half.kill()


@as_root
def test_as_root_postgres_runs_as_somebody_else_and_no_folder_is_opened(
    postgres: PostgresServer, korean_folder: Path
) -> None:
    postgres.start()
    assert postgres.pid is not None
    assert psutil.Process(postgres.pid).username() == "nobody"
    private = korean_folder.parents[2]
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE(postgres.folder.stat().st_mode) == 0o700


@as_root
def test_programs_out_of_the_accounts_reach_are_copied_once_to_where_it_can_read(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = pwd.getpwnam("nobody")
    nobody = Account("nobody", entry.pw_uid, entry.pw_gid)
    wheel = postgres_programs(None).parents[1]
    hidden = tmp_path / "hidden"  # nobody may not enter it, as is usual for /root
    hidden.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, hidden / part.name)
    monkeypatch.syspath_prepend(hidden)
    public.chmod(0o755)
    monkeypatch.setattr(binaries, "PUBLIC_PLACES", (public,))
    copied = postgres_programs(nobody)
    assert copied.is_relative_to(public)
    assert postgres_programs(nobody) == copied
    shown = subprocess.run(
        [copied / "postgres", "--version"],
        user=nobody.uid, group=nobody.gid, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.stdout.startswith("postgres (PostgreSQL) 18"), shown.stderr


def remember(server: Server, word: str) -> None:
    if isinstance(server, ValkeyServer):
        with redis.Redis.from_url(server.url) as client:
            client.set("word", word)
    else:
        with connect(server.url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
            connection.execute("INSERT INTO kept VALUES (%s)", (word,))


def recall(server: Server) -> str:
    if isinstance(server, ValkeyServer):
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            return str(client.get("word"))
    with connect(server.url) as connection:
        row = connection.execute("SELECT word FROM kept ORDER BY ctid DESC LIMIT 1").fetchone()
        assert row is not None
        return str(row[0])
