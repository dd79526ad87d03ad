#!/usr/bin/env bash
# Builds the Debian package, installs it into a root made for this, starts what it installed as the
# user that it made, and has a message published there. As root, with a Debian mirror at hand.
#   tests/package.sh [FOLDER]      FOLDER keeps the package and the root (default: build-deb)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
to=${1:-build-deb}
root= pid=

say() { printf '== %s\n' "$*"; }

clean_up() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -z "$root" ] || rm -rf --one-file-system "$root"
}
trap clean_up EXIT

in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

[ "$(id -u)" -eq 0 ] || { echo "only root may do this" >&2; exit 2; }
[ -n "${WARREN_DEB:-}" ] || ./dev deb "$to"
deb=$(readlink -f "$to"/warren_*.deb)

say "a clean root"
mkdir -p "$to"
base=$to/base.tar
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c |
    sort -rn | awk '!/security/ { print $2; exit }')
if [ ! -f "$base" ]; then
    debootstrap --variant=minbase --include=ca-certificates --make-tarball="$base.part" bookworm \
        "$(readlink -f "$to")/bootstrap" "$mirror" >"$to/debootstrap.log"
    mv "$base.part" "$base"
    rm -rf "$to/bootstrap"
fi
root=$(mktemp -d /tmp/warren-root-XXXXXX)
chmod 755 "$root"
debootstrap --unpack-tarball="$(readlink -f "$base")" --variant=minbase bookworm "$root" \
    "$mirror" >>"$to/debootstrap.log"
cp /etc/resolv.conf "$root/etc/"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"

say "the package in it"
cp "$deb" "$root/tmp/warren.deb"
in_root apt-get update -q >"$to/apt.log"
in_root apt-get install -y -q --no-install-recommends /tmp/warren.deb >>"$to/apt.log" 2>&1
in_root getent passwd warren
in_root warren --config /etc/warren/warren.conf --check-config
in_root test -s /usr/share/bash-completion/completions/warrenctl

say "the broker in it"
install -d -m 0750 "$root/var/lib/warren" "$root/var/log/warren"
in_root chown warren:warren /var/lib/warren /var/log/warren # as systemd does it
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
in_root warrenctl -P "$mgmt" check_running
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
in_root warrenctl -q -P "$mgmt" list_queues | grep -q '^packaged'
kill "$pid"
wait "$pid"
pid=
grep -q 'stopped in order' "$root/var/log/warren/warren.log"

say "away with it"
in_root apt-get purge -y -q warren >>"$to/apt.log" 2>&1
in_root test ! -e /usr/bin/warren
in_root test ! -e /etc/warren/warren.conf
say "the package works"
