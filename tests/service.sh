#!/usr/bin/env bash
# Installs the Debian package into a clean Debian, boots that with systemd as its first process in a
# container of systemd-nspawn, and has tests/lib/in_service.sh look at the service there. As root,
# with a Debian mirror at hand; where nothing can be booted, it says so and ends with 77.
#   tests/service.sh [FOLDER]      FOLDER keeps the package (default: build-deb); WARREN_DEB=1: the
#                                  package that lies there is taken
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tests/lib/root.sh
to=${1:-build-deb}
root=

skip() {
    say "left out: $*"
    exit 77
}

boot() {
    timeout -s KILL "$1" systemd-nspawn --register=no --keep-unit -q --private-network \
        --machine=warren-test -D "$root" -b </dev/null >"$to/boot.log" 2>&1
}

[ "$(id -u)" -eq 0 ] || skip "only root may do this"
command -v systemd-nspawn >/dev/null || skip "systemd-nspawn is not installed (systemd-container)"
[ -n "${WARREN_DEB:-}" ] || ./dev deb "$to"
deb=$(readlink -f "$to"/warren_*.deb)
trap '[ -z "$root" ] || rm -rf --one-file-system "$root"' EXIT

say "a clean root with systemd and the package"
root=$(mktemp -d /tmp/warren-root-XXXXXX)
clean_root "$to" "$root"
cp "$deb" "$root/tmp/warren.deb"
install_in "$root" "$to/apt.log" systemd systemd-sysv dbus procps logrotate amqp-tools \
    /tmp/warren.deb
install -m 755 tests/lib/in_service.sh "$root/usr/local/bin/test-service"
cat >"$root/etc/systemd/system/test.service" <<'UNIT'
[Unit]
After=warren.service
[Service]
Type=oneshot
ExecStart=/usr/local/bin/test-service
StandardOutput=file:/test.out
StandardError=file:/test.out
ExecStopPost=/bin/systemctl poweroff --no-block
UNIT
ln -s ../test.service "$root/etc/systemd/system/multi-user.target.wants/test.service"

say "its first boot"
boot 180 || { [ -s "$root/test.out" ] || skip "systemd-nspawn boots nothing here: $to/boot.log"; }
[ -s "$root/test.out" ] || skip "systemd does not get so far here: $to/boot.log"
cat "$root/test.out"
grep -qx 'all is well' "$root/test.out"
say "the service works"
