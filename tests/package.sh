#!/usr/bin/env bash
# Builds the Debian package, installs it into a root made for this, starts what it installed as the
# user that it made, and has a message published there. As root, with a Debian mirror at hand.
#   tests/package.sh [FOLDER]      FOLDER keeps the package and the root (default: build-deb)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tests/lib/root.sh
to=${1:-build-deb}
root= pid=

clean_up() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -z "$root" ] || rm -rf --one-file-system "$root"
}
trap clean_up EXIT

inside() { in_root "$root" "$@"; }

[ "$(id -u)" -eq 0 ] || { echo "only root may do this" >&2; exit 2; }
[ -n "${WARREN_DEB:-}" ] || ./dev deb "$to"
deb=$(readlink -f "$to"/warren_*.deb)

say "a clean root"
root=$(mktemp -d /tmp/warren-root-XXXXXX)
clean_root "$to" "$root"

say "the package in it"
cp "$deb" "$root/tmp/warren.deb"
install_in "$root" "$to/apt.log" /tmp/warren.deb
inside getent passwd warren
inside warren --config /etc/warren/warren.conf --check-config
inside test -s /usr/share/bash-completion/completions/warrenctl

say "the broker in it"
install -d -m 0750 "$root/var/lib/warren" "$root/var/log/warren"
inside chown warren:warren /var/lib/warren /var/log/warren # as systemd does it
printf 'log.console = true\nlog.journald = false\nlog.file = /var/log/warren/warren.log\n' \
    >"$root/etc/warren/conf.d/test.conf"
mkfifo "$root/tmp/ready"
chroot --userspec=warren "$root" /usr/bin/warren --config /etc/warren/warren.conf --amqp-port 0 \
    --mgmt-port 0 --bind 127.0.0.1 >"$root/tmp/ready" 2>"$to/broker.log" &
pid=$!
read -r -t 60 line <"$root/tmp/ready"
amqp=$(sed -n 's/.*amqp=\([0-9]*\).*/\1/p' <<<"$line")
mgmt=$(sed -n 's/.*mgmt=\([0-9]*\).*/\1/p' <<<"$line")
[ "$(ps -o user= -p "$pid" | tr -d ' ')" != root ]
inside warrenctl -P "$mgmt" check_running
/usr/bin/python3 - "$amqp" <<'PY'
import sys
import pika
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
channel = connection.channel()
channel.queue_declare("packaged", durable=True)
channel.confirm_delivery()
channel.basic_publish("", "packaged", b"hello", pika.BasicProperties(delivery_mode=2))
assert channel.basic_get("packaged")[2] == b"hello"
connection.close()
PY
inside warrenctl -q -P "$mgmt" list_queues | grep -q '^packaged'
kill "$pid"
wait "$pid"
pid=
grep -q 'stopped in order' "$root/var/log/warren/warren.log"

say "again, and away with it"
echo '# kept' >>"$root/etc/warren/warren.conf"
inside apt-get install -y -q --reinstall /tmp/warren.deb >>"$to/apt.log" 2>&1
inside grep -q '# kept' /etc/warren/warren.conf
inside apt-get remove -y -q warren >>"$to/apt.log" 2>&1
inside grep -q '# kept' /etc/warren/warren.conf
inside test ! -e /usr/bin/warren
inside apt-get purge -y -q warren >>"$to/apt.log" 2>&1
inside test ! -e /usr/bin/warren
inside test ! -e /etc/warren/warren.conf
say "the package works"
