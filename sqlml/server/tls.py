"""TLS over a socket for two threads, one that receives and one that sends, which a socket of Python's own does not allow."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any, Self

RECEIVED = 1 << 16


class TlsSocket:
    """Has the methods of a socket that ``listen`` needs. What is encrypted goes through memory, so that nobody waits for the
    network while the other thread needs the state of the encryption."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool, name: str | None = None
    ) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)
        self._state = threading.Lock()  # of the encryption
        self._order = threading.Lock()  # of what is sent

    def shake_hands(self) -> Self:
        """Agree on the keys."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                self._send_waiting()
                if not self._receive():
                    raise ssl.SSLEOFError("the connection ended in the handshake") from None
            else:
                self._send_waiting()
                return self
            finally:
                if self._outgoing.pending:  # why the handshake failed
                    self._send_waiting()

    def recv(self, count: int) -> bytes:
        """What has come; nothing at the end."""
        while True:
            try:
                with self._state:
                    return self._object.read(count)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            if self._outgoing.pending:
                self._send_waiting()
            if not self._receive():
                return b""

    def sendall(self, data: Any) -> None:
        with self._order:
            with self._state:
                self._object.write(data)
                waiting = self._outgoing.read()
            self._socket.sendall(waiting)

    def _send_waiting(self) -> None:
        with self._order:
            with self._state:
                waiting = self._outgoing.read()
            if waiting:
                self._socket.sendall(waiting)

    def _receive(self) -> bool:
        data = self._socket.recv(RECEIVED)
        with self._state:
            self._incoming.write(data)
        return bool(data)

    def fileno(self) -> int:
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()
