"""What is put around a WebSocket: each test fails when its answer is taken away."""

from __future__ import annotations

import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import simple_websocket
from flask import Flask, request
from flask_sock import Sock

from tests.conftest import serving
from tests.handshake import frame, open_by_hand, shake
from tests.wire import Client
from webapp import listener as listener_module
from webapp import sockets
from webapp.listener import Listener
from webapp.pacer import Pacer
from webapp.sockets import Channel, Ended, Inbox

PATIENCE = 20  # seconds


# The inbox


def test_an_inbox_holds_a_bounded_number_of_messages():
    inbox = Inbox()
    for n in range(10_000):
        inbox.append(str(n))
    assert len(inbox) <= sockets.WAITING
    assert inbox.flooded


def test_an_inbox_holds_a_bounded_number_of_bytes():
    inbox = Inbox()
    for _ in range(10):
        inbox.append("x" * sockets.MESSAGE)
    assert sum(map(len, inbox)) <= 4 * sockets.MESSAGE
    assert inbox.flooded


def test_an_inbox_is_flooded_by_messages_that_come_too_fast_though_they_are_read():
    now = [0.0]
    inbox = Inbox(lambda: now[0])
    for _ in range(sockets.RATE[0]):
        inbox.append("x")
        inbox.pop()
        now[0] += 0.001
    assert not inbox.flooded
    inbox.append("x")
    assert inbox.flooded


def test_several_clicks_a_second_are_no_flood():
    now = [0.0]
    inbox = Inbox(lambda: now[0])
    for _ in range(10_000):
        inbox.append("x")
        inbox.pop()
        now[0] += 0.02
    assert not inbox.flooded


# A server with the channel


Handler = Callable[[Channel], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], str]]:
    """A function that serves one handler of a channel and returns the address."""
    stack = []

    def start(handler: Handler) -> str:
        app, sock = Flask(__name__), Sock()
        app.config["SOCK_SERVER_OPTIONS"] = sockets.OPTIONS
        app.before_request(lambda: sockets.check_handshake(request.environ, origin_allowed=True))
        app.add_url_rule("/", "home", lambda: "home")

        @sock.route("/ws")
        def route(ws) -> None:
            channel = Channel(ws)
            code = sockets.DONE
            try:
                handler(channel)
            except Ended as end:
                code = end.code
            except sockets.GONE:
                pass
            finally:
                channel.close(code)

        sock.init_app(app)
        stack.append(serving(app))
        return stack[-1].__enter__().replace("http", "ws") + "/ws"

    yield start
    for server in stack:
        server.__exit__(None, None, None)


def test_messages_of_every_size_arrive_as_they_were_sent(serve):
    sizes = [0, 1, 125, 126, 65_535, 65_536, 1_000_000]

    def send_all(channel: Channel) -> None:
        for size in sizes:
            channel.send(b"x" * size)

    client = Client(serve(send_all))
    assert [len(client.receive(timeout=PATIENCE)) for _ in sizes] == sizes


def test_pings_of_a_client_do_not_break_into_a_long_message(serve):
    url = serve(lambda channel: [channel.send(b"x" * 400_000) for _ in range(20)])
    raw = open_by_hand(url)
    ping = b"\x89\x80" + b"\0\0\0\0"
    pinging = threading.Event()

    def pester() -> None:
        with suppress(OSError):
            while not pinging.wait(0.001):
                raw.send(ping)

    thread = threading.Thread(target=pester)
    thread.start()
    messages = 0
    while True:
        opcode, payload = frame(raw)
        if opcode == 0x8:
            break
        assert opcode in (0x1, 0xA)
        if opcode == 0x1:
            assert payload == b"x" * 400_000
            messages += 1
    pinging.set()
    thread.join()
    raw.close()
    assert messages == 20


def test_who_pings_and_reads_nothing_keeps_nobody_else_from_being_heard(serve):
    lines = []

    def wait(channel: Channel) -> None:
        lines.append(channel._line)
        while message := channel.receive(PATIENCE):
            channel.send(message.encode())

    url = serve(wait)
    deaf = open_by_hand(url)
    deaf.setblocking(False)
    pings = (b"\x89\xfd" + bytes(4) + b"x" * 125) * 500
    sent, stuck = 0, 0
    while lines[0].left < 64 if lines else True:  # until the kernel takes no more answers
        try:
            sent += deaf.send(pings[sent % 131 :])
            stuck = 0
        except BlockingIOError:
            stuck += 1
            assert stuck < 1_000
            time.sleep(0.01)
    other = Client(url)
    for number in range(20):
        other.send(f"{number}")
        assert other.receive(timeout=PATIENCE) == f"{number}"
    assert lines[0].left <= 65
    other.close()
    deaf.close()


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="other systems have a thread for each")
def test_no_thread_waits_for_what_a_client_says_but_its_handlers(serve):
    leave = threading.Event()
    url = serve(lambda channel: leave.wait(PATIENCE))
    open_by_hand(url).close()
    before = threading.active_count()
    raws = [open_by_hand(url) for _ in range(20)]
    assert threading.active_count() <= before + len(raws)
    leave.set()
    for raw in raws:
        raw.close()


def test_a_close_is_answered_and_not_cut(serve):
    closed = threading.Event()

    def wait(channel: Channel) -> None:
        try:
            channel.receive(PATIENCE)
        finally:
            closed.set()

    url = serve(wait)
    for _ in range(20):
        raw = open_by_hand(url)
        raw.send(b"\x88\x82\0\0\0\0" + struct.pack("!H", 1000))
        assert frame(raw) == (0x8, struct.pack("!H", 1000))
        assert raw.recv(100) == b""  # no HTTP after it
        raw.close()
    assert closed.wait(PATIENCE)


def test_a_handler_that_ends_says_goodbye_and_nothing_more(serve):
    def end(channel: Channel) -> None:
        raise Ended(sockets.LATER, "later")

    raw = open_by_hand(serve(end))
    opcode, payload = frame(raw)
    assert (opcode, struct.unpack("!H", payload[:2])[0]) == (0x8, 1013)
    raw.send(b"\x88\x82\0\0\0\0" + struct.pack("!H", 1013))
    assert raw.recv(100) == b""
    raw.close()


def test_a_goodbye_that_cannot_be_spelled_leaves_the_next_streams_alone(serve):
    def end(channel: Channel) -> None:
        channel.close(sockets.POLICY, "half a character: \ud800")

    url = serve(end)
    for _ in range(4):  # each gets the descriptor of the one before
        raw = open_by_hand(url)
        assert frame(raw) == (0x8, struct.pack("!H", sockets.POLICY) + b"half a character: ?")
        raw.close()


def test_a_process_that_had_no_thread_left_for_a_moment_hears_and_plays_again(serve, monkeypatch):
    monkeypatch.setattr(listener_module, "listener", Listener())
    monkeypatch.setattr(sockets, "listener", listener_module.listener)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name in ("listener", "pacer"):
            raise RuntimeError("can't start new thread")
        start(thread)

    url = serve(lambda channel: channel.send(channel.receive(PATIENCE).encode()))
    pacer, played = Pacer(), threading.Event()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        open_by_hand(url).close()
        with pytest.raises(RuntimeError):
            pacer.lend(lambda: None, lambda: None, 0.0)
    client = Client(url)
    client.send("heard")
    assert client.receive(timeout=PATIENCE) == "heard"
    pacer.lend(lambda: None, played.set, 0.0)
    assert played.wait(PATIENCE)


def test_a_goodbye_to_a_peer_whose_close_was_answered_meanwhile_is_no_fault(serve):
    ended: list[BaseException | None] = []
    done = threading.Event()

    def end(channel: Channel) -> None:
        library = channel._ws.ws
        library.receive_data(b"\x88\x80\0\0\0\0")  # its reader has seen the Close, and not yet told
        for event in library.events():
            library.send(event.response())
        try:
            channel.close()
        except BaseException as error:
            ended.append(error)
            raise
        finally:
            done.set()

    raw = open_by_hand(serve(end))
    assert done.wait(PATIENCE)
    assert ended == []
    raw.close()


def test_a_client_that_vanishes_frees_its_handler(serve):
    freed = threading.Event()

    def wait(channel: Channel) -> None:
        try:
            channel.receive(PATIENCE)
        finally:
            freed.set()

    raw = open_by_hand(serve(wait))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with RST
    raw.close()
    assert freed.wait(PATIENCE)


def test_a_message_that_is_too_large_closes_with_1009(serve):
    client = Client(serve(lambda channel: channel.receive(PATIENCE)))
    client.send("x" * (sockets.MESSAGE + 1))
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        client.receive(timeout=PATIENCE)
    assert closed.value.reason == 1009


def test_a_flood_is_noticed_and_costs_bounded_memory(serve):
    seen: list[int] = []
    busy = threading.Event()

    def watch(channel: Channel) -> None:
        while not channel.flooded:
            busy.wait(0.01)  # the handler is busy elsewhere
        seen.append(len(channel._ws.input_buffer))
        raise Ended(sockets.POLICY, "Too many messages.")

    client = Client(serve(watch))
    for _ in range(sockets.WAITING + 1):
        client.send("x" * 30)
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        client.receive(timeout=PATIENCE)
    assert closed.value.reason == 1008
    assert seen == [sockets.WAITING]


def test_messages_too_many_that_come_one_at_a_time_are_noticed_by_a_handler_that_waits(serve, monkeypatch):
    monkeypatch.setattr(sockets, "RATE", (20, 60.0))
    heard = []

    def listen(channel: Channel) -> None:
        while not channel.flooded:
            heard.append(channel.receive(None))
            channel.send(b"heard")
        raise Ended(sockets.POLICY, "Too many messages.")

    client = Client(serve(listen))
    for _ in range(21):
        client.send("x")
        assert client.receive(timeout=PATIENCE) == "heard"
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        client.receive(timeout=PATIENCE)
    assert closed.value.reason == 1008
    assert heard == ["x"] * 20 + [""]


def test_drain_wakes_every_handler_and_ends_those_that_do_not_listen(serve, monkeypatch):
    board = sockets.Switchboard()
    woken, deaf = threading.Event(), threading.Event()

    def listen(channel: Channel) -> None:
        board.add(channel, 10)
        try:
            if channel.receive(PATIENCE) == "deaf":
                deaf.set()
                while True:
                    channel.send(b"x" * 1_000_000)
            woken.set()
            raise Ended(sockets.RESTART, "restart")
        finally:
            board.remove(channel)

    url = serve(listen)
    good = Client(url)
    bad = open_by_hand(url)
    bad.send(b"\x81\x84\0\0\0\0deaf")
    assert deaf.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while len(board) < 2 and time.monotonic() < deadline:  # the good one listens, too
        threading.Event().wait(0.01)
    board.drain(patience=3)
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        good.receive(timeout=PATIENCE)
    assert closed.value.reason == 1012
    deadline = time.monotonic() + PATIENCE
    while len(board) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert len(board) == 0
    bad.close()


def test_a_switchboard_admits_no_more_than_its_limit():
    board = sockets.Switchboard()
    first, second = object(), object()
    board.add(first, 1)
    with pytest.raises(Ended, match=r"at most 1 streams.*Try again") as refused:
        board.add(second, 1)
    assert refused.value.code == sockets.LATER
    board.remove(first)
    board.add(second, 1)


def test_a_switchboard_admits_no_more_of_one_address_than_another_can_spare():
    board = sockets.Switchboard()
    board.add(object(), 10, "10.0.0.1", 1)
    with pytest.raises(Ended, match="Close one of yours") as refused:
        board.add(object(), 10, "10.0.0.1", 1)
    assert refused.value.code == sockets.LATER
    board.add(object(), 10, "10.0.0.2", 1)
    board.add(object(), 10, "10.0.0.1", 0)


# The handshake


@pytest.mark.parametrize(
    ("changes", "start", "status"),
    [
        pytest.param({}, ("GET", "1.1"), 101, id="a good one"),
        pytest.param({"Sec-WebSocket-Key": None}, ("GET", "1.1"), 400, id="no key"),
        pytest.param({"Sec-WebSocket-Key": "short"}, ("GET", "1.1"), 400, id="a short key"),
        pytest.param({"Sec-WebSocket-Key": "!" * 24}, ("GET", "1.1"), 400, id="a key that is not base64"),
        pytest.param({"Sec-WebSocket-Key": "A" * 24}, ("GET", "1.1"), 400, id="18 bytes"),
        pytest.param({"Sec-WebSocket-Version": None}, ("GET", "1.1"), 426, id="no version"),
        pytest.param({"Sec-WebSocket-Version": "8"}, ("GET", "1.1"), 426, id="an old version"),
        pytest.param({"Host": None}, ("GET", "1.1"), 400, id="no host"),
        pytest.param({}, ("GET", "1.0"), 400, id="HTTP/1.0"),
        pytest.param({}, ("POST", "1.1"), 400, id="a POST"),
        pytest.param({"Sec-WebSocket-Extensions": "permessage-deflate"}, ("GET", "1.1"), 101, id="deflate refused"),
        pytest.param(
            {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=x"}, ("GET", "1.1"), 101,
            id="a bad parameter of deflate is not looked at",
        ),
        pytest.param({"Sec-WebSocket-Protocol": "é"}, ("GET", "1.1"), 101, id="a protocol that is not ASCII"),
        pytest.param({"Connection": "Upgrade, é"}, ("GET", "1.1"), 400, id="a connection that is not ASCII"),
    ],
)  # fmt: skip
def test_a_handshake_is_checked_while_http_can_still_be_spoken(serve, caplog, changes, start, status):
    caplog.set_level(logging.ERROR)
    answer = shake(serve(lambda channel: None), changes, *start)
    assert int(answer.split()[1]) == status
    assert not caplog.records  # no traceback
    assert b"permessage-deflate" not in answer


@pytest.mark.parametrize(
    ("address", "yes"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), (None, False)],
)
def test_is_loopback(address, yes):
    assert sockets.is_loopback(address) is yes
