#!/usr/bin/env python3
"""The log's outputs, and the configuration read again at SIGHUP."""
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import Broker, needs_own_broker, wait_for


@needs_own_broker
class Log(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.path = os.path.join(self.dir, "warren.log")
        self.conf = os.path.join(self.dir, "warren.conf")

    def configure(self, *lines):
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))

    def start(self, *args):
        broker = Broker(["--config", self.conf] + list(args))
        self.addCleanup(broker.__exit__, None, None, None)
        return broker

    def read(self, path=None):
        try:
            with open(path or self.path, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def hup(self, broker, text):
        """SIGHUP, and the line in the log that says what came of it."""
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: text in broker.log(), text)

    def test_file(self):
        """To a file as JSON and to standard error as text; the last line is the end's."""
        self.configure("log.file = " + self.path, "log.file.formatter = json")
        broker = self.start()
        self.assertEqual(broker.stop(), 0)
        lines = [json.loads(line) for line in self.read().splitlines()]
        self.assertEqual(lines[-1]["msg"], "stopped in order")
        self.assertEqual(lines[-2]["msg"], "stopping: SIGTERM")
        self.assertTrue(any("management listens" in line["msg"] for line in lines))
        self.assertEqual({line["level"] for line in lines}, {"info"})
        self.assertRegex(broker.log(), r"\[info\] stopped in order\n$")

    def test_rotation_by_hup(self):
        """Who renames the file and sends SIGHUP finds later lines in a new one."""
        self.configure("log.dir = " + self.dir, "log.file = warren.log")
        broker = self.start()
        os.rename(self.path, self.path + ".1")
        self.hup(broker, "reading it again")
        wait_for(lambda: os.path.exists(self.path), "a new file")
        old = wait_for(lambda: self.read(self.path + ".1"), "the renamed one")
        broker.proc.send_signal(signal.SIGHUP)
        wait_for(lambda: "reading it again" in self.read(), "a line in the new file")
        self.assertEqual(self.read(self.path + ".1"), old)

    def test_rotation_by_size(self):
        self.configure("log.file = " + self.path, "log.file.rotation.size = 1kB",
                       "log.file.rotation.count = 2")
        broker = self.start()
        for _ in range(40):
            if os.path.exists(self.path + ".1"):
                break
            before = self.read()
            broker.proc.send_signal(signal.SIGHUP)
            wait_for(lambda: self.read() != before, "a line more")
        wait_for(lambda: os.path.exists(self.path + ".1"), "two renamed files")
        self.assertEqual(broker.stop(), 0)
        self.assertEqual({n for n in os.listdir(self.dir) if n.startswith("warren.log")},
                         {"warren.log", "warren.log.0", "warren.log.1"})
        for name in ("warren.log", "warren.log.0", "warren.log.1"):
            self.assertLessEqual(os.path.getsize(os.path.join(self.dir, name)), 1000)

    def test_levels(self):
        """An output's level, and that of a category."""
        self.configure("log.file = " + self.path, "log.file.level = warning",
                       "log.management.level = error")
        broker = self.start()
        self.hup(broker, "reading it again")
        self.assertNotIn("management listens", broker.log())
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(self.read(), "")

    def test_none(self):
        self.configure("log.console = false")
        broker = self.start()
        self.assertEqual(broker.stop(), 0)
        self.assertEqual(broker.log(), "")

    def test_cannot_open(self):
        self.configure("log.file = /nonexistent/warren.log")
        with self.assertRaises(harness.StartError) as caught:
            self.start()
        self.assertIn("cannot open /nonexistent/warren.log", caught.exception.text)

    def test_reload(self):
        """What may change does, at once; what may not is told of; an error changes nothing."""
        self.configure("heartbeat = 7", "schedulers = 1", "max_message_size = 1000")
        broker = self.start()
        self.assertEqual(broker.raw().tune.heartbeat, 7)
        self.configure("heartbeat = 9", "schedulers = 2", "max_message_size = 1000",
                       "log.file = " + self.path)
        self.hup(broker, "configuration: schedulers takes effect at the next start")
        self.assertIn("configuration: heartbeat = 9", broker.log())
        self.assertNotIn("configuration: max_message_size", broker.log())
        wait_for(lambda: os.path.exists(self.path), "the log's file")
        self.assertEqual(broker.raw().tune.heartbeat, 9)
        self.configure("heartbeat = 11", "heartbeet = 1")
        self.hup(broker, "warren.conf:2: unknown key 'heartbeet'")
        self.configure("heartbeat = 11", "log.file = /nonexistent/log")
        self.hup(broker, "cannot open /nonexistent/log")
        self.assertEqual(broker.raw().tune.heartbeat, 9)

    def test_watermark(self):
        """A limit that is lowered raises the alarm, and raised again ends it."""
        self.configure("disk_ballast = 0")
        broker = self.start()
        self.configure("disk_ballast = 0", "disk_free_limit.absolute = 1000TB")
        self.hup(broker, "disk alarm set")
        self.configure("disk_ballast = 0", "disk_free_limit.absolute = 1MB")
        self.hup(broker, "disk alarm cleared")

    def test_process_that_cannot_start(self):
        """Outputs, the log's end and who reloads may each be down: the broker serves and ends."""
        for kind in ("log_console", "log_file", "log_journal", "log_tail", "config"):
            with Broker(["--set", "debug.crash_in_init=" + kind]) as broker:
                broker.raw().close()
                if kind == "config":
                    self.hup(broker, "not read again")
                broker.raw().close()

    def test_journal(self):
        """The journal's own protocol, against a socket that stands for it."""
        path = os.path.join(self.dir, "journal")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
            journal.bind(path)
            journal.settimeout(harness.DEADLINE)
            self.configure("log.journald = true", "log.journald.socket = " + path)
            broker = self.start()
            got = b""
            while b"management listens" not in got:
                got = journal.recv(65536)
            self.assertTrue(got.startswith(b"PRIORITY=6\nSYSLOG_IDENTIFIER=warren\n"), got)
            head, _, rest = got.partition(b"\nMESSAGE\n")
            self.assertIn(b"WARREN_CATEGORY=management", head)
            self.assertEqual(struct.unpack("<Q", rest[:8])[0], len(rest) - 9)
            self.assertEqual(broker.stop(), 0)

    def test_blocked_stderr(self):
        """Nobody reads standard error: the broker serves on, and ends in order."""
        self.configure("log.level = debug")
        with tempfile.TemporaryDirectory() as data:
            read, write = os.pipe()
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
            os.write(write, b"x" * 4096)
            proc = subprocess.Popen([harness.BIN, "--config", self.conf, "--data-dir", data,
                                     "--amqp-port", "0", "--mgmt-port", "0", "--bind",
                                     "127.0.0.1", "--set", "prometheus=false"],
                                    stdout=subprocess.PIPE, stderr=write)
            os.close(write)
            try:
                self.assertTrue(select.select([proc.stdout], [], [], 3 * harness.DEADLINE)[0])
                found = harness.READY.match(proc.stdout.readline().decode())
                for _ in range(20):
                    harness.Raw(("127.0.0.1", int(found.group(1)))).open().close()
                proc.terminate()
                self.assertEqual(proc.wait(3 * harness.DEADLINE), 0)
            finally:
                proc.kill()
                proc.wait()
                proc.stdout.close()
                os.close(read)


if __name__ == "__main__":
    unittest.main()
