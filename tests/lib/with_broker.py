#!/usr/bin/env python3
"""with_broker.py COMMAND...: runs a command against a broker of its own.

The command finds it in WARREN_TEST_AMQP=host:port; its exit code is ours.
"""
import os
import subprocess
import sys

from harness import open_broker


def main():
    with open_broker() as broker:
        env = dict(os.environ, WARREN_TEST_AMQP="%s:%d" % broker.addr)
        code = subprocess.run(sys.argv[1:], env=env, check=False).returncode
        if code:
            raise SystemExit(code if code > 0 else 1)


if __name__ == "__main__":
    main()
