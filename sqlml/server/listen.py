"""The only file with sockets: connections in, one thread each; what is said on them is the business of others."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from sqlml.errors import ProtocolError
from sqlml.server.client import DisconnectedError, SilentError
from sqlml.server.messages import LONGEST_STARTUP, SSL_REQUEST
from sqlml.server.tls import TlsSocket

FULL = 1 << 16  # bytes that wait before they are sent
LOOPBACK = ("127.", "::1", "::ffff:127.")


class SocketStream:
    """Messages over a socket: what is written waits until there is enough of it, or ``flush``."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None, longest: int) -> None:
        self._socket: socket.socket | TlsSocket = sock
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

    def read_message(self, longest: int | None = None) -> tuple[bytes, bytes]:
        """A message's tag and body."""
        head = self._read(5)
        (length,) = struct.unpack_from("!i", head, 1)
        most = longest or self.longest
        if not 4 <= length <= most:
            raise ProtocolError("invalid message length", detail=f"Here a message has up to {most} bytes.")
        return head[:1], self._read(length - 4)

    def read_some(self) -> bytes:
        """What has come, at least one byte."""
        found = bytes(self._in) or self._receive(FULL)
        self._in.clear()
        return found

    def _read(self, count: int) -> bytes:
        while len(self._in) < count:
            self._in += self._receive(max(FULL, min(count - len(self._in), 1 << 20)))
        found = bytes(memoryview(self._in)[:count])
        del self._in[:count]
        return found

    def _receive(self, count: int) -> bytes:
        try:
            data = self._socket.recv(count)
        except TimeoutError as error:
            raise SilentError from error
        except (OSError, ValueError) as error:
            raise DisconnectedError from error
        if not data:
            raise DisconnectedError
        return data

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
        self._encrypt(self._tls, server_side=True)

    def ask_tls(self, context: ssl.SSLContext, host: str) -> bool:
        """Encrypt the connection, if the server at the other end does; says whether."""
        self._socket.sendall(struct.pack("!ii", 8, SSL_REQUEST))
        if self._receive(1) != b"S":
            return False
        self._encrypt(context, server_side=False, name=host)
        return True

    def _encrypt(self, context: ssl.SSLContext, *, server_side: bool, name: str | None = None) -> None:
        assert isinstance(self._socket, socket.socket)  # noqa: S101 - invariant: once
        try:
            self._socket = TlsSocket(self._socket, context, server_side=server_side, name=name).shake_hands()
        except ssl.SSLCertVerificationError as error:
            raise ProtocolError(f"the server's certificate is not accepted: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            raise DisconnectedError from error
        self.encrypted = True

    # -- life ---------------------------------------------------------------------------------------------------------------

    def set_timeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds or None)

    def has_left(self) -> bool:
        """Whether the other end is closed, whatever it sent before."""
        poll = select.poll()
        poll.register(self._socket.fileno(), getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(0))

    def end_sending(self) -> None:
        """Let the other end know that nothing more will come."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

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


def open_listening(host: str, port: int) -> socket.socket:
    """A socket that other machines can connect to; port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def keep_going(sock: socket.socket) -> None:
    """Send at once, and notice when the other end is no longer there."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class Listener:
    """Accepts connections and gives each a thread that runs ``serve``."""

    def __init__(
        self, listening: socket.socket, serve: Serve, *, tls: ssl.SSLContext | None = None, longest: int
    ) -> None:
        self._socket = listening
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
            with suppress(OSError):
                if sock.family != socket.AF_UNIX:
                    keep_going(sock)
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
    """A connection to a real Postgres; a host that is a folder has its socket."""
    if host.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{host}/.s.PGSQL.{port}")
    else:
        sock = socket.create_connection((host, port), timeout=30)
        keep_going(sock)
        sock.settimeout(None)
    return SocketStream(sock, None, 1 << 30)


class PrivateListener:
    """Accepts connections of client libraries in this process, at a socket in a folder that nobody else can enter."""

    port = 5432  # part of the socket's name

    def __init__(self, serve: Serve) -> None:
        self.folder = tempfile.mkdtemp(prefix="sqlml-")
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(Path(self.folder, f".s.PGSQL.{self.port}")))
        sock.listen(512)
        self._listener = Listener(sock, serve, longest=1 << 30).start()

    def stop(self) -> None:
        """End them all."""
        self._listener.stop_accepting()
        self._listener.hang_up()
        shutil.rmtree(self.folder, ignore_errors=True)
