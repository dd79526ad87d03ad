"""A raw AMQP connection for tests: its own frames, so that they can be wrong; pika's method codec.

Every wait has a deadline. A method that was not expected fails the test with its text.
"""
import os
import socket
import struct
import time

from pika import spec

SLOW = float(os.environ.get("WARREN_SLOW", "1"))
DEADLINE = 10.0 * SLOW
HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, HEAD, BODY, HEARTBEAT = 1, 2, 3, 8
END = b"\xce"
CAPABILITIES = {"authentication_failure_close": True, "consumer_cancel_notify": True,
                "publisher_confirms": True, "basic.nack": True, "connection.blocked": True}


class Eof(Exception):
    """The peer closed the connection where more was expected."""


class Unexpected(AssertionError):
    """Another frame than the expected one came."""


def frame(kind, channel, payload, end=END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def method_payload(method):
    return struct.pack(">I", method.INDEX) + b"".join(method.encode())


def method_frame(channel, method):
    return frame(METHOD, channel, method_payload(method))


def raw_method(channel, class_id, method_id, args=b""):
    return frame(METHOD, channel, struct.pack(">HH", class_id, method_id) + args)


def content_header(channel, size, props=None, class_id=60, weight=0):
    props = props or spec.BasicProperties()
    return frame(HEAD, channel, struct.pack(">HHQ", class_id, weight, size)
                 + b"".join(props.encode()))


def decode(payload):
    method = spec.methods[struct.unpack(">I", payload[:4])[0]]()
    return method.decode(payload, 4)


class Message:
    """A message with its content: method is Deliver, GetOk or Return."""

    def __init__(self, method, props, body):
        self.method, self.props, self.body = method, props, body

    @property
    def tag(self):
        return self.method.delivery_tag

    @property
    def redelivered(self):
        return self.method.redelivered


class Raw:
    """One socket. `Raw(addr)` only connects; `open()` does the whole handshake."""

    def __init__(self, addr, header=HEADER, connect=None):
        """addr: (host, port); connect: makes the socket instead, of another kind."""
        if connect:
            self.sock = connect(addr)
        else:
            self.sock = socket.create_connection(addr, timeout=DEADLINE)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = bytearray()
        self.frame_max = 131072
        self.start = None
        self.tune = None
        self.out = None
        if header:
            self.sock.sendall(header)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.sock.close()

    # What goes out.

    def send(self, data):
        if self.out is not None:
            self.out.append(bytes(data))
        else:
            self.sock.sendall(data)

    def gather(self):
        """Until flush() everything is sent at once, so that the broker reads it in one go."""
        self.out = []

    def flush(self):
        data, self.out = b"".join(self.out), None
        self.sock.sendall(data)

    def cast(self, channel, method):
        self.send(method_frame(channel, method))

    def publish(self, channel, exchange, key, body=b"", props=None, mandatory=False,
                immediate=False):
        out = [method_frame(channel, spec.Basic.Publish(
            exchange=exchange, routing_key=key, mandatory=mandatory, immediate=immediate))]
        out.append(content_header(channel, len(body), props))
        step = self.frame_max - 8
        for at in range(0, len(body), step):
            out.append(frame(BODY, channel, body[at:at + step]))
        self.send(b"".join(out))

    # What comes in.

    def _fill(self, count, deadline):
        """Reads until count bytes are there; takes none of them."""
        while len(self.buf) < count:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.0005))
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Eof("closed by the broker with %d bytes unread" % len(self.buf))
            self.buf += data

    def _take(self, count, deadline):
        self._fill(count, deadline)
        out = bytes(self.buf[:count])
        del self.buf[:count]
        return out

    def recv_bytes(self, count, timeout=DEADLINE):
        return self._take(count, time.monotonic() + timeout)

    def recv_any(self, timeout=DEADLINE):
        """The next frame, heartbeats too: (type, channel, payload). A timeout takes nothing."""
        deadline = time.monotonic() + timeout
        self._fill(7, deadline)
        kind, channel, size = struct.unpack_from(">BHI", self.buf)
        self._fill(size + 8, deadline)
        whole = self._take(size + 8, deadline)
        if whole[-1:] != END:
            raise Unexpected("frame without its end")
        return kind, channel, whole[7:-1]

    def recv(self, timeout=DEADLINE):
        while True:
            got = self.recv_any(timeout)
            if got[0] != HEARTBEAT:
                return got

    def next_method(self, timeout=DEADLINE):
        """(channel, method); a content that belongs to it comes with content()."""
        kind, channel, payload = self.recv(timeout)
        if kind != METHOD:
            raise Unexpected("frame of type %d on channel %d" % (kind, channel))
        return channel, decode(payload)

    def expect(self, channel, cls, timeout=DEADLINE):
        at, method = self.next_method(timeout)
        if at != channel or not isinstance(method, cls):
            raise Unexpected("expected %s on %d, got %s on %d" % (cls.NAME, channel, method, at))
        return method

    def expect_one_of(self, channel, classes, timeout=DEADLINE):
        at, method = self.next_method(timeout)
        if at != channel or not isinstance(method, classes):
            raise Unexpected("expected one of %s on %d, got %s on %d" % (
                [c.NAME for c in classes], channel, method, at))
        return method

    def rpc(self, channel, method, answer=None):
        """Sends the method and waits for its answer."""
        self.cast(channel, method)
        if answer is None:
            name = type(method).__name__ + "Ok"
            answer = getattr(getattr(spec, type(method).NAME.split(".")[0]), name)
        return self.expect(channel, answer)

    def delete_queue(self, queue, channel=1, **options):
        """Deletes a queue that this channel consumes from: cancels may come before the -ok."""
        self.cast(channel, spec.Queue.Delete(queue=queue, **options))
        while True:
            method = self.expect_one_of(channel, (spec.Queue.DeleteOk, spec.Basic.Cancel))
            if isinstance(method, spec.Queue.DeleteOk):
                return method.message_count

    def content(self, channel, method):
        kind, at, payload = self.recv()
        if (kind, at) != (HEAD, channel):
            raise Unexpected("expected a content header, got type %d on %d" % (kind, at))
        size = struct.unpack(">Q", payload[4:12])[0]
        props = spec.BasicProperties()
        props.decode(payload, 12)
        parts, have = [], 0
        while have < size:
            kind, at, payload = self.recv()
            if (kind, at) != (BODY, channel):
                raise Unexpected("expected a body frame, got type %d on %d" % (kind, at))
            if len(payload) + 8 > self.frame_max:
                raise Unexpected("frame larger than negotiated: %d" % len(payload))
            parts.append(payload)
            have += len(payload)
        return Message(method, props, b"".join(parts))

    def message(self, channel, cls=spec.Basic.Deliver, timeout=DEADLINE):
        return self.content(channel, self.expect(channel, cls, timeout))

    def silent(self, channel_of_probe=None):
        """Nothing is on its way: asks on a channel of its own and sees only its answer."""
        probe = channel_of_probe or 2000
        self.cast(probe, spec.Channel.Open())
        self.expect(probe, spec.Channel.OpenOk)
        self.cast(probe, spec.Channel.Close(200, "", 0, 0))
        self.expect(probe, spec.Channel.CloseOk)

    def expect_close(self, channel, code, class_id=None, method_id=None, text=None):
        """channel.close (channel > 0) or connection.close with that code; answers it."""
        cls = spec.Channel.Close if channel else spec.Connection.Close
        got = self.expect(channel, cls)
        want = (code, got.class_id if class_id is None else class_id,
                got.method_id if method_id is None else method_id)
        if (got.reply_code, got.class_id, got.method_id) != want:
            raise Unexpected("expected close %s, got %s" % (want, got))
        if text is not None and text not in got.reply_text:
            raise Unexpected("expected %r in %r" % (text, got.reply_text))
        self.cast(channel, spec.Channel.CloseOk() if channel else spec.Connection.CloseOk())
        return got

    def expect_eof(self, timeout=DEADLINE):
        """The rest of the stream up to its end, which must come in time."""
        deadline, rest = time.monotonic() + timeout, b""
        try:
            while True:
                rest += self._take(1, deadline)
        except Eof:
            return rest

    # The handshake.

    def start_ok(self, user="guest", password="guest", capabilities=None, mechanism="PLAIN",
                 response=None, locale="en_US"):
        caps = CAPABILITIES if capabilities is None else capabilities
        if response is None:
            response = "\0%s\0%s" % (user, password)
        self.start = self.expect(0, spec.Connection.Start)
        self.cast(0, spec.Connection.StartOk(
            client_properties={"product": "test", "capabilities": caps}, mechanism=mechanism,
            response=response, locale=locale))

    def open(self, vhost="/", channel_max=2047, frame_max=131072, heartbeat=0, **auth):
        self.start_ok(**auth)
        self.tune = self.expect(0, spec.Connection.Tune)
        self.cast(0, spec.Connection.TuneOk(channel_max, frame_max, heartbeat))
        self.frame_max = frame_max or 131072
        self.rpc(0, spec.Connection.Open(virtual_host=vhost))
        return self

    def channel(self, number=1):
        self.rpc(number, spec.Channel.Open())
        return number

    def close(self):
        self.cast(0, spec.Connection.Close(200, "bye", 0, 0))
        self.expect(0, spec.Connection.CloseOk)
        self.kill()
