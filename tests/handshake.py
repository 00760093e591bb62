"""Handshake: a WebSocket client by hand, for what no library would send or forgive."""

from __future__ import annotations

import base64
import socket
import struct
from urllib.parse import urlsplit

PATIENCE = 20  # seconds

GOOD = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


def read(sock: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes."""
    parts = []
    while size:
        part = sock.recv(size)
        assert part, "the connection ended"
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def shake(url: str, changes: dict[str, str | None] | None = None, method: str = "GET", version: str = "1.1") -> bytes:
    """Return the head of the answer to a handshake with changed headers (None = left out)."""
    raw, answer = _shake(url, changes or {}, method, version)
    raw.close()
    return answer


def open_by_hand(url: str) -> socket.socket:
    """Return the raw socket of an accepted handshake."""
    raw, answer = _shake(url, {}, "GET", "1.1")
    assert answer.startswith(b"HTTP/1.1 101")
    return raw


def _shake(url: str, changes: dict[str, str | None], method: str, version: str) -> tuple[socket.socket, bytes]:
    parts = urlsplit(url)
    headers = {"Host": parts.netloc} | GOOD | changes
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    raw = socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)
    raw.sendall("\r\n".join([f"{method} {parts.path} HTTP/{version}", *lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(1)
    return raw, answer


def frame(raw: socket.socket) -> tuple[int, bytes]:
    """Return the opcode and payload of the next frame of a server, which must be whole and plain."""
    first, size = read(raw, 2)
    assert first & 0xF0 == 0x80, f"not a frame of ours: {first:#x}"
    if size == 126:
        (size,) = struct.unpack("!H", read(raw, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", read(raw, 8))
    return first & 0x0F, read(raw, size)
