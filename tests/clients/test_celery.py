#!/usr/bin/env python3
"""Celery: a worker and its client as their users have them; tasks, ETA, retries, control."""
import os
import subprocess
import sys
import tempfile
import time
import unittest

from harness import BrokerCase, fresh, wait_for
from wire import DEADLINE

HERE = os.path.dirname(os.path.abspath(__file__))


class Celery(BrokerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["WARREN_TEST_URL"] = "amqp://guest:guest@%s:%d//" % cls.broker.addr
        os.environ["WARREN_TEST_QUEUE"] = fresh("tasks")
        sys.path.insert(0, HERE)
        import celery_app
        cls.tasks, cls.app = celery_app, celery_app.app
        cls.log = tempfile.TemporaryFile()
        cls.worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "solo",
             "--concurrency", "1", "--loglevel", "INFO", "--hostname", fresh("w") + "@localhost"],
            cwd=HERE, stdin=subprocess.DEVNULL, stdout=cls.log, stderr=cls.log)

    @classmethod
    def tearDownClass(cls):
        cls.worker.terminate()
        code = cls.worker.wait(3 * DEADLINE)
        cls.app.close()
        if cls.failed_here or code:
            cls.log.seek(0)
            print(cls.log.read().decode(errors="replace")[-6000:])
        cls.log.close()
        super().tearDownClass()
        if code:
            raise AssertionError("the worker ended with %d" % code)

    def result(self, pending):
        return pending.get(timeout=3 * DEADLINE)

    def test_results(self):
        pending = [self.tasks.add.delay(n, n) for n in range(30)]
        self.assertEqual([self.result(p) for p in pending], [2 * n for n in range(30)])

    def test_group_and_chain(self):
        from celery import chain, group
        many = group(self.tasks.add.s(n, 1) for n in range(10))()
        self.assertEqual(many.get(timeout=3 * DEADLINE), list(range(1, 11)))
        row = chain(self.tasks.add.s(1, 1), self.tasks.add.s(10), self.tasks.add.s(100))()
        self.assertEqual(self.result(row), 112)

    def test_failure(self):
        with self.assertRaises(ValueError):
            self.result(self.tasks.broken.delay())

    def test_retries(self):
        self.assertEqual(self.result(self.tasks.flaky.delay(2)), 2)
        with self.assertRaises(Exception):
            self.result(self.tasks.flaky.delay(9))

    def test_eta(self):
        """Tasks for later do not run before their time, and do not keep the others waiting."""
        due = time.time() + 8
        later = [self.tasks.when.apply_async(countdown=8) for _ in range(6)]
        now = self.result(self.tasks.when.delay())
        self.assertLess(now, due - 2)  # the worker asks for one message more each second
        for pending in later:
            self.assertGreaterEqual(self.result(pending), due - 0.1)

    def test_control(self):
        """Broadcasts and their answers: fanout and direct exchanges, queues that go away."""
        self.result(self.tasks.add.delay(1, 1))
        answers = wait_for(lambda: self.app.control.ping(timeout=1), "an answer to ping",
                           3 * DEADLINE)
        self.assertEqual(list(answers[0].values()), [{"ok": "pong"}])
        stats = wait_for(lambda: self.app.control.inspect(timeout=1).stats(), "statistics",
                         3 * DEADLINE)
        self.assertEqual(len(stats), 1)

    def test_revoked(self):
        pending = self.tasks.when.apply_async(countdown=2)
        pending.revoke()
        from celery.exceptions import TaskRevokedError
        with self.assertRaises(TaskRevokedError):
            self.result(pending)


if __name__ == "__main__":
    unittest.main()
