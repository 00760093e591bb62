"""The line below a WebSocket: several writers, one reader, and nothing cut or mixed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.handshake import read
from webapp.line import BUFFER, Line

PATIENCE = 20  # seconds


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    far.settimeout(PATIENCE)
    with near, far:
        yield near, far


class Sip:
    """A socket that takes at most seven bytes a write, as a full one may."""

    def __init__(self, raw):
        self.raw = raw

    def send(self, data) -> int:
        return self.raw.send(bytes(data[:7]))

    def __getattr__(self, name):
        return getattr(self.raw, name)


def test_a_write_is_whole_though_the_socket_takes_only_parts(pair):
    near, far = pair
    line = Line(Sip(near))
    assert line.send(b"x" * 1000) == 1000
    assert read(far, 1000) == b"x" * 1000


def test_writes_of_several_threads_do_not_mix(pair):
    near, far = pair
    line = Line(near)
    size, each = 300_000, 5

    def write(letter: bytes) -> None:
        for _ in range(each):
            line.send(letter * size)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    messages = [read(far, size) for _ in range(len(threads) * each)]
    for thread in threads:
        thread.join()
    assert all(len(set(message)) == 1 for message in messages)


def test_a_reader_that_takes_nothing_is_given_up(pair):
    line = Line(pair[0], stall=0.2)
    with pytest.raises(TimeoutError):
        while True:
            line.send(b"x" * 1_000_000)
    with pytest.raises(OSError, match="closed"):
        line.send(b"more")


def test_a_reader_that_is_slow_is_waited_for(pair):
    near, far = pair
    line = Line(near, stall=1)
    size = 15_000_000
    done = threading.Event()

    def drink() -> None:
        taken = 0
        while taken < size:
            done.wait(0.005)  # longer than the limit altogether, though never silent for long
            taken += len(far.recv(50_000))

    thread = threading.Thread(target=drink)
    thread.start()
    line.send(b"x" * size)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_an_offer_never_waits_and_what_is_left_comes_first(pair):
    near, far = pair
    line = Line(near, stall=PATIENCE)
    sent = 0
    while line.offer(b"x" * 100_000):
        sent += 1
    assert not line.offer(b"y" * 10)  # the reader has taken nothing: more waits behind
    thread = threading.Thread(target=line.send, args=(b"z" * 10,))
    thread.start()
    assert read(far, (sent + 1) * 100_000) == b"x" * ((sent + 1) * 100_000)
    assert read(far, 20) == b"y" * 10 + b"z" * 10
    thread.join(PATIENCE)
    assert line.offer(b"more")


def test_an_offer_does_not_wait_for_another_writer(pair):
    near, far = pair
    line = Line(near, stall=PATIENCE)
    size = 20_000_000
    thread = threading.Thread(target=line.send, args=(b"x" * size,))
    thread.start()
    read(far, 1)  # it is at it
    assert not line.offer(b"y" * 10)
    assert read(far, size - 1) == b"x" * (size - 1)
    line.flush()
    assert read(far, 10) == b"y" * 10
    thread.join(PATIENCE)


def test_a_rest_that_looks_like_a_close_is_none(pair):
    near, far = pair
    line = Line(Sip(near), stall=PATIENCE)
    line.offer(b"1234567\x88rest")  # seven bytes a write: the rest begins as a Close does
    line.flush()
    line.send(b"more")
    assert read(far, 16) == b"1234567\x88restmore"


def test_an_offer_to_somebody_who_is_gone_says_so(pair):
    line = Line(pair[0])
    line.end()
    with pytest.raises(OSError, match="closed"):
        line.offer(b"x")


def test_silence_of_the_other_side_is_no_fault(pair):
    near, far = pair
    line = Line(near, stall=0.05)
    heard: list[bytes] = []
    thread = threading.Thread(target=lambda: heard.append(line.recv(10)))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    far.send(b"hello")
    thread.join(PATIENCE)
    assert heard == [b"hello"]


def test_ending_a_line_wakes_its_reader_and_leaves_the_descriptor_to_the_server(pair):
    near, far = pair
    line = Line(near)
    thread = threading.Thread(target=line.recv, args=(10,))
    thread.start()
    line.end()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert near.fileno() > 0
    assert far.recv(1) == b""


def test_the_last_message_arrives_though_something_crossed_it(pair):
    near, far = pair
    line = Line(near)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    line.send(b"x" * 400_000)  # more than the other side takes for now
    far.send(b"ping")  # unread when the socket closes, it would reset the connection

    def leave() -> None:
        line.finish(PATIENCE)
        near.close()

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join(0.1)
    assert read(far, 400_000) == b"x" * 400_000
    far.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_nothing_follows_a_close(pair):
    line = Line(pair[0])
    line.send(b"\x88\x02\x03\xe8")
    with pytest.raises(BrokenPipeError):
        line.send(b"\x81\x01x")


def test_the_kernel_holds_little_for_a_reader(pair):
    Line(pair[0])
    assert pair[0].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * BUFFER
    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
