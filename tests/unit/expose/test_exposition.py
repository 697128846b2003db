"""A running endpoint: its port, its discovery file, its end."""

from __future__ import annotations

import json
import os
import select
import socket

import pytest

from agentgauge.errors import ConfigError, PortInUse
from agentgauge.expose.document import Document
from agentgauge.expose.exposition import Exposition, expose, exposition_of, write_text_file
from agentgauge.expose.ports import owner_of
from agentgauge.model.span import ToolCall
from agentgauge.record.recorder import Recorder


def test_it_serves_and_announces_itself_until_closed(exposition, folder, get):
    """The discovery file names the endpoint in file_sd JSON; both are gone after close, which may be called twice."""
    assert get(exposition.port)[0] == 200
    (path,) = folder.glob("*.json")
    assert path.name == f"{os.getpid()}-{exposition.port}.json"
    ((group),) = json.loads(path.read_text())
    assert group["targets"] == [f"127.0.0.1:{exposition.port}"]
    assert group["labels"]["job"] == "agentgauge"
    assert group["labels"]["__agentgauge_pid"] == str(os.getpid())
    port = exposition.port
    exposition.close()
    exposition.close()
    assert not list(folder.glob("*.json"))
    assert exposition.url == ""
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_taken_port_moves_on_and_says_so_once(ledger, folder, taken_port, caplog):
    """The next free port is served and logged with the owner of the first."""
    exposition = Exposition(ledger, port=taken_port)
    try:
        assert exposition.port != taken_port
        (message,) = [record.getMessage() for record in caplog.records if str(taken_port) in record.getMessage()]
        assert exposition.url in message and f"taken by pid {os.getpid()}" in message and "Free it" not in message
        assert exposition.url in repr(exposition)
    finally:
        exposition.close()


def test_a_pinned_port_that_is_taken_names_its_owner(ledger, folder, taken_port):
    """port_search=0: the error holds the port, the process, and the command that finds it."""
    with pytest.raises(PortInUse, match=f"process {os.getpid()}.*ss -ltnp 'sport = :{taken_port}'") as caught:
        Exposition(ledger, port=taken_port, port_search=0)
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", taken_port)
    assert not folder.exists()


def test_other_settings_that_fail_leave_the_endpoint_that_was(ledger, folder, get):
    """A second start that cannot listen raises, and the metrics are still served on the same port."""
    port = expose(ledger, port=0).port
    try:
        expose(ledger, port=port)
        with pytest.raises(ConfigError):
            expose(ledger, host="203.0.113.7")
        assert exposition_of(ledger).port == port
        assert get(port)[0] == 200
    finally:
        exposition_of(ledger).close()


def test_settings_that_make_no_sense_are_refused(ledger, folder):
    """Not a port, not an address of this machine."""
    for settings in ({"port": 70_000}, {"port_search": -1}, {"host": "203.0.113.7"}):
        with pytest.raises(ConfigError):
            Exposition(ledger, **settings)


def test_nobody_listens_nobody_owns():
    """A free port has no owner."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert owner_of(unused.getsockname()[1]) is None


def test_a_folder_that_cannot_be_written_costs_discovery_only(ledger, tmp_path, monkeypatch, get, caplog):
    """The endpoint serves; one line says that no server finds it by itself."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTGAUGE_DISCOVERY_DIR", str(tmp_path / "file" / "targets"))
    exposition = Exposition(ledger, port=0)
    try:
        assert get(exposition.port)[0] == 200
        assert "no local server will find" in caplog.text
    finally:
        exposition.close()


def test_files_of_dead_processes_are_pruned(ledger, folder):
    """A dead pid's file goes, a reused pid's too; the living's, and what is not ours, stay."""
    folder.mkdir(parents=True)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    def write(name: str, labels: object) -> None:
        (folder / name).write_text(json.dumps([{"targets": ["127.0.0.1:1"], "labels": labels}]))

    write(f"{pid}-1.json", {"__agentgauge_pid": str(pid), "__agentgauge_started": "1"})
    write(f"{os.getppid()}-1.json", {"__agentgauge_pid": str(os.getppid()), "__agentgauge_started": "1"})
    write("1-2.json", {"job": "by hand"})
    (folder / "2-3.json").write_text("not json")
    Exposition(ledger, port=0).close()
    assert sorted(path.name for path in folder.glob("*.json")) == ["1-2.json", "2-3.json"]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_serves_on_a_port_of_its_own(exposition, folder, get):
    """The child's first event opens its endpoint, with its own counts; the parent's goes on."""
    told_end, child_end = os.pipe()
    ask_end, parent_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        Recorder(exposition.document.ledger).record(ToolCall("child", "t", "success", 0, 1))
        for _ in range(200):
            if exposition.port:
                break
            select.select([], [], [], 0.02)
        os.write(child_end, f"{exposition.port}\n".encode())
        os.read(ask_end, 1)
        os._exit(0)
    try:
        port = int(os.read(told_end, 100))
        assert port not in {0, exposition.port}
        body = get(port)[2]
        assert b'agent="child"' in body
        assert b'agent="a"' not in body
        assert b'agent="a"' in get(exposition.port)[2]
    finally:
        os.write(parent_end, b"x")
        os.waitpid(pid, 0)
        for end in (told_end, child_end, ask_end, parent_end):
            os.close(end)


def test_a_text_file_is_written_whole(ledger, tmp_path):
    """For the textfile collector: text 0.0.4 under its name, no draft left."""
    write_text_file(Document(ledger), tmp_path / "agents.prom")
    (path,) = tmp_path.iterdir()
    assert 'agent_tool_calls_total{agent="a",tool_name="t",status="success"} 1\n' in path.read_text()
