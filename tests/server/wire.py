"""A client of a few lines that says exactly what a test wants, also what no real client would."""

import socket
import struct


class Wire:
    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def startup(self, code=196608, **parameters):
        body = struct.pack("!i", code) + b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items()) + b"\0"
        self.raw(struct.pack("!i", len(body) + 4) + body)

    def log_in(self):
        self.startup(user="ann", database="warehouse")
        return self.until(b"Z")

    def send(self, tag, body=b""):
        self.raw(tag + struct.pack("!i", len(body) + 4) + body)

    def query(self, text):
        self.send(b"Q", text.encode() + b"\0")
        return self.until(b"Z")

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def message(self):
        tag = self.read(1)
        (length,) = struct.unpack("!i", self.read(4))
        return tag, self.read(length - 4)

    def until(self, last):
        """Messages up to the one with that tag."""
        found = []
        while not found or found[-1][0] != last:
            found.append(self.message())
        return found

    def is_closed(self):
        try:
            while self.message():
                pass
        except (EOFError, ConnectionError):
            return True


def fields(body):
    """The fields of an ErrorResponse."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def tags(messages):
    return b"".join(tag for tag, _ in messages).decode()
