"""Brokers for tests: each its own process, port, data directory and log.

WARREN_BIN names the binary. With WARREN_TEST_AMQP=host:port the tests run against a broker that
is there already; those that start, kill or manage one are skipped then.
"""
import base64
import http.client
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from wire import DEADLINE, SLOW, Raw

BIN = os.environ.get("WARREN_BIN", "")
EXTERNAL = os.environ.get("WARREN_TEST_AMQP", "")
READY = re.compile(r"^warren ready amqp=(\d+) mgmt=(\d+)")
needs_own_broker = unittest.skipIf(EXTERNAL, "the broker is not ours")
SEED = int(os.environ.get("WARREN_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)


class StartError(Exception):
    """The broker ended before it was ready: .code, .text (its stderr)."""

    def __init__(self, code, text):
        super().__init__("exit %s: %s" % (code, text))
        self.code, self.text = code, text


class Broker:
    """A broker on a data directory that outlives its restarts. Use as a context manager."""

    def __init__(self, args=(), data=None, start=True, before=(), **popen):
        """before: a command that runs the broker's; popen: how it is started."""
        self.args = list(args)
        self.before, self.popen = list(before), popen
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="warren-test-")
        fd, self.log_path = tempfile.mkstemp(prefix="warren-log-")
        os.close(fd)
        self.conns = []
        self.proc = None
        self.addr = self.mgmt = None
        self.ports = {}
        if start:
            try:
                self.start()
            except BaseException:
                self.remove()  # Nobody else can: there will be no object.
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            for conn in self.conns:
                conn.kill()
            if self.proc and self.proc.poll() is None:
                code = self.stop()
                if kind is None and code != 0:
                    raise AssertionError("broker ended with %s\n%s" % (code, self.log()))
        finally:
            if kind is not None:
                print(self.log()[-8000:])
            self.remove()

    def remove(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)
        if os.path.exists(self.log_path):
            os.unlink(self.log_path)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def start_unready(self, args=(), amqp_port=0):
        """Only starts the program; where its log began."""
        argv = self.before + [BIN, "--data-dir", self.data, "--amqp-port", str(amqp_port),
                              "--mgmt-port", "0", "--bind", "127.0.0.1", "--log-level", "info",
                              "--set", "prometheus.tcp.port=0"]
        argv += self.args + list(args)
        with open(self.log_path, "ab") as log:
            at = log.tell()
            self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=log, **self.popen)
        return at

    def start(self, args=(), amqp_port=0):
        at = self.start_unready(args, amqp_port)
        line = self._first_line(time.monotonic() + 3 * DEADLINE)
        found = READY.match(line)
        if not found:
            if not line:
                self.proc.wait(DEADLINE)
            else:
                self.proc.kill()
            self.proc.stdout.close()
            raise StartError(self.proc.wait(), line + self.log()[at:])
        self.addr = ("127.0.0.1", int(found.group(1)))
        self.mgmt = ("127.0.0.1", int(found.group(2)))
        self.ports = {name: int(port) for name, port in re.findall(r"(\S+)=(\d+)", line)}
        return self

    def _first_line(self, deadline):
        fd, line = self.proc.stdout.fileno(), b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                self.proc.kill()
                raise AssertionError("the broker was not ready in time\n" + self.log())
            byte = os.read(fd, 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def stop(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        code = self.proc.wait(3 * DEADLINE)
        self.proc.stdout.close()
        return code

    def kill9(self):
        self.stop(signal.SIGKILL)

    def raw(self, **options):
        """An open connection; it goes when the broker is stopped at the end of its test."""
        conn = Raw(self.addr).open(**options)
        self.conns.append(conn)
        return conn

    def http(self, method, path, body=None, user="guest", password="guest"):
        """(status, decoded JSON or text)."""
        conn = http.client.HTTPConnection(*self.mgmt, timeout=DEADLINE)
        headers = {"Content-Type": "application/json"}
        if user:
            token = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
            headers["Authorization"] = "Basic " + token
        try:
            conn.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = conn.getresponse()
            text = answer.read().decode()
        finally:
            conn.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path):
        status, value = self.http("GET", path)
        if status != 200:
            raise AssertionError("GET %s: %s %s" % (path, status, value))
        return value


class External:
    """A broker that is there already."""

    def __init__(self):
        host, port = EXTERNAL.rsplit(":", 1)
        self.addr, self.mgmt, self.proc = (host, int(port)), None, None

    def raw(self, **options):
        return Raw(self.addr).open(**options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def open_broker(args=()):
    return External() if EXTERNAL else Broker(args)


def wait_for(condition, what, timeout=DEADLINE, step=0.02):
    """Polls until condition() is true and gives its value; fails at the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("in time there was no: " + what)
        time.sleep(step)


_names = iter(range(1, 1 << 30))


def fresh(prefix="q"):
    """A name that no other test uses, also on a broker that keeps its data."""
    return "%s-%x-%x-%d" % (prefix, os.getpid(), int(time.time()), next(_names))


class BrokerCase(unittest.TestCase):
    """Tests of one class share a broker and use names of their own in it."""

    broker_args = ()
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.broker = open_broker(cls.broker_args)

    @classmethod
    def tearDownClass(cls):
        failed = cls.failed_here
        cls.broker.__exit__(AssertionError if failed else None, None, None)

    failed_here = False

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            type(self).failed_here = True

    def raw(self, **options):
        conn = self.broker.raw(**options)
        self.addCleanup(conn.kill)
        return conn

    def connect(self, header=None):
        conn = Raw(self.broker.addr) if header is None else Raw(self.broker.addr, header)
        self.addCleanup(conn.kill)
        return conn

    def opened(self, channel=1, **options):
        """A connection with one open channel."""
        conn = self.raw(**options)
        conn.channel(channel)
        return conn


class OwnBrokers(unittest.TestCase):
    """Tests each of which starts brokers with settings of its own."""

    maxDiff = None

    def start(self, *settings):
        """A broker with these settings, each "key=value"."""
        broker = Broker([a for setting in settings for a in ("--set", setting)])
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    def opened(self, broker, **options):
        """A connection with channel 1 open."""
        conn = broker.raw(**options)
        conn.channel(1)
        return conn


__all__ = ["BIN", "EXTERNAL", "SEED", "SLOW", "DEADLINE", "Broker", "BrokerCase", "OwnBrokers",
           "StartError",
           "fresh", "needs_own_broker", "open_broker", "wait_for"]
