#!/usr/bin/env python3
"""with_broker.py [--tls] COMMAND...: runs a command against a broker of its own.

The command finds it in WARREN_TEST_AMQP=host:port; its exit code is ours. With --tls that is a port
for TLS, and WARREN_TEST_CA the file of who vouches for the broker.
"""
import os
import subprocess
import sys

from certs import Authority
from harness import Broker, open_broker


def run(command, addr, **env):
    env = dict(os.environ, WARREN_TEST_AMQP="%s:%d" % addr, **env)
    code = subprocess.run(command, env=env, check=False).returncode
    if code:
        raise SystemExit(code if code > 0 else 1)


def run_tls(command):
    authority = Authority()
    try:
        cert, key = authority.make("server")
        with Broker(["--set", "listeners.ssl.default=0", "--set", "ssl_options.certfile=" + cert,
                     "--set", "ssl_options.keyfile=" + key]) as broker:
            run(command, ("127.0.0.1", broker.ports["amqps"]), WARREN_TEST_CA=authority.ca)
    finally:
        authority.remove()


def main():
    if sys.argv[1] == "--tls":
        run_tls(sys.argv[2:])
        return
    with open_broker() as broker:
        run(sys.argv[1:], broker.addr)


if __name__ == "__main__":
    main()
