"""The only file with sockets: connections in, one thread each; what is said on them is the business of others."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from sqlml.errors import ProtocolError
from sqlml.server.client import DisconnectedError, SilentError
from sqlml.server.messages import LONGEST_STARTUP

FULL = 1 << 16  # bytes that wait before they are sent
LOOPBACK = ("127.", "::1", "::ffff:127.")


class SocketStream:
    """Messages over a socket: what is written waits until there is enough of it, or ``flush``."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None, longest: int) -> None:
        self._socket = sock
        self._tls = tls
        self.longest = longest
        self._in = bytearray()
        self._out: list[Any] = []
        self._waiting = 0
        self._sending = threading.RLock()
        self.encrypted = False
        self.on_loopback = sock.family == socket.AF_UNIX or sock.getpeername()[0].startswith(LOOPBACK)

    # -- in -----------------------------------------------------------------------------------------------------------------

    def read_startup(self) -> bytes:
        """A packet of the beginning, which has no tag."""
        (length,) = struct.unpack("!i", self._read(4))
        if not 8 <= length <= LONGEST_STARTUP:
            raise ProtocolError("invalid length of startup packet")
        return self._read(length - 4)

    def read_message(self) -> tuple[bytes, bytes]:
        """A message's tag and body."""
        head = self._read(5)
        (length,) = struct.unpack_from("!i", head, 1)
        if not 4 <= length <= self.longest:
            raise ProtocolError(
                "invalid message length", detail=f"Messages of this session have up to {self.longest} bytes."
            )
        return head[:1], self._read(length - 4)

    def _read(self, count: int) -> bytes:
        while len(self._in) < count:
            try:
                data = self._socket.recv(max(FULL, min(count - len(self._in), 1 << 20)))
            except TimeoutError as error:
                raise SilentError from error
            except (OSError, ValueError) as error:
                raise DisconnectedError from error
            if not data:
                raise DisconnectedError
            self._in += data
        found = bytes(memoryview(self._in)[:count])
        del self._in[:count]
        return found

    # -- out ----------------------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        with self._sending:
            self._out.append(data)
            self._waiting += len(data)
            if self._waiting >= FULL:
                self.flush()

    def flush(self) -> None:
        with self._sending:
            waiting, self._out, self._waiting = self._out, [], 0
            if not waiting:
                return
            try:
                if len(waiting) == 1:
                    self._socket.sendall(waiting[0])
                else:
                    self._socket.sendall(b"".join(waiting))
            except (OSError, ValueError) as error:
                raise DisconnectedError from error

    def answer_tls(self) -> None:
        """``S`` and the handshake, or ``N``. What came before the handshake could be anybody's."""
        if self._tls is None:
            self._socket.sendall(b"N")
            return
        if self._in:
            raise ProtocolError("received unencrypted data after SSL request")
        self._socket.sendall(b"S")
        try:
            self._socket = self._tls.wrap_socket(self._socket, server_side=True)
        except (OSError, ValueError) as error:
            raise DisconnectedError from error
        self.encrypted = True

    # -- life ---------------------------------------------------------------------------------------------------------------

    def set_timeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds or None)

    def hang_up(self) -> None:
        """From another thread: whoever waits on the socket wakes up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError, DisconnectedError):
            self._socket.settimeout(5)
            self.flush()
            self._socket.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            self._socket.close()


Serve = Callable[[SocketStream], None]


class Listener:
    """Accepts connections and gives each a thread that runs ``serve``."""

    def __init__(self, host: str, port: int, serve: Serve, *, tls: ssl.SSLContext | None = None, longest: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=512)
        self.host, self.port = self._socket.getsockname()[:2]
        self._serve = serve
        self._tls = tls
        self._longest = longest
        self._lock = threading.Lock()
        self._streams: dict[SocketStream, threading.Thread] = {}
        self._thread = threading.Thread(target=self._accept, name="sqlml-listen", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            with suppress(OSError):
                stream = SocketStream(sock, self._tls, self._longest)
                thread = threading.Thread(target=self._run, args=(stream,), name="sqlml-session", daemon=True)
                with self._lock:
                    self._streams[stream] = thread
                thread.start()

    def _run(self, stream: SocketStream) -> None:
        try:
            self._serve(stream)
        finally:
            stream.close()
            with self._lock:
                self._streams.pop(stream, None)

    def stop_accepting(self) -> None:
        """No more connections."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def hang_up(self) -> None:
        """End the connections there are."""
        for stream in list(self._streams):
            stream.hang_up()

    def wait(self, seconds: float) -> None:
        """Until the threads of all connections are done, so long at most."""
        for thread in list(self._streams.values()):
            thread.join(seconds)


class HttpListener:
    """Answers GET on a port of this machine: ``answer`` gives status and text for a path."""

    def __init__(self, port: int, answer: Callable[[str], tuple[int, str]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = answer(self.path)
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not into the server's log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="sqlml-metrics", daemon=True
        )

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """From files with a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def open_upstream(host: str, port: int) -> SocketStream:
    """A connection to a real Postgres."""
    sock = socket.create_connection((host, port), timeout=30)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(None)
    return SocketStream(sock, None, 1 << 30)
