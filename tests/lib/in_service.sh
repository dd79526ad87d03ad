#!/bin/bash
# Runs in a machine that systemd has booted, where the package is installed: see tests/service.sh.
set -euo pipefail
unit=warren.service at=--url=amqp://127.0.0.1:5672
export WARRENCTL_USERNAME=guest WARRENCTL_PASSWORD=guest HOME=/root

check() { printf -- '-- %s\n' "$*"; }
show() { systemctl show -P "$1" "$unit"; }
trap 'journalctl -u $unit --no-pager | tail -n 40; echo "line $LINENO failed"' ERR

# until_true COMMAND...: within a minute.
until_true() {
    for _ in $(seq 300); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.2
    done
    "$@"
}

serves() { warrenctl -q check_running >/dev/null; }
pid_is_not() { [ "$(show MainPID)" != "$1" ] && [ "$(show MainPID)" != 0 ] && serves; }
logged() { journalctl -u "$unit" --no-pager -o cat | grep -q -- "$1"; }

check "it was started at the boot, as its own user and with no rights"
systemctl is-active "$unit"
systemctl is-enabled "$unit"
pid=$(show MainPID)
[ "$(ps -o user= -p "$pid" | tr -d ' ')" = warren ]
facts=$(cat "/proc/$pid/status")
grep -qx 'NoNewPrivs:.1' <<<"$facts"
grep -qx 'Seccomp:.2' <<<"$facts"
for set in Prm Eff Bnd Amb; do grep -qx "Cap$set:.0*" <<<"$facts"; done
[ "$(awk '/open files/ { print $4 }' "/proc/$pid/limits")" -ge 10000 ]
[ "$(show StatusText)" = "Serving AMQP on port 5672" ]
systemd-analyze security --no-pager "$unit" | tail -n 1

check "messages, tools, a backup into its own directory"
amqp-declare-queue "$at" -d -q kept >/dev/null
amqp-publish "$at" -r kept -p -b first
warrenctl backup /var/lib/warren/backup --wait
test -f /var/lib/warren/backup/manifest.json
! warrenctl backup /usr/backup --wait 2>/dev/null
warrenctl status >/dev/null

check "a new configuration by reload"
printf 'log.level = debug\nlog.file = /var/log/warren/warren.log\n' >/etc/warren/conf.d/test.conf
systemctl reload "$unit"
until_true logged 'configuration: log.level'
until_true test -e /var/log/warren/warren.log
[ "$(show MainPID)" = "$pid" ]

check "logrotate renames the log, and it goes on in a new file"
warrenctl add_vhost one
until_true grep -q audit: /var/log/warren/warren.log
logrotate -f /etc/logrotate.d/warren
until_true test -e /var/log/warren/warren.log
warrenctl add_vhost two
until_true grep -q audit: /var/log/warren/warren.log
test -e /var/log/warren/warren.log.1

check "killed, it is started again, and the message is there"
kill -KILL "$pid"
until_true pid_is_not "$pid"
[ "$(show NRestarts)" = 1 ]
[ "$(amqp-get "$at" -q kept)" = first ]
amqp-publish "$at" -r kept -p -b second

check "when it hangs, the watchdog ends it, and it is started again"
mkdir -p /run/systemd/system/warren.service.d
printf '[Service]\nWatchdogSec=2\n' >/run/systemd/system/warren.service.d/test.conf
systemctl daemon-reload
systemctl restart "$unit"
sleep 5 # more than twice the time: a living one is left alone
[ "$(show NRestarts)" = 0 ]
pid=$(show MainPID)
kill -STOP "$pid"
until_true pid_is_not "$pid"
until_true logged 'Watchdog timeout'
[ "$(amqp-get "$at" -q kept)" = second ]

check "it is stopped in order"
systemctl stop "$unit"
[ "$(show Result)" = success ]
logged 'stopped in order'

check "a socket of systemd's starts it"
printf '[Socket]\nListenStream=127.0.0.1:5999\nFileDescriptorName=amqp\n' \
    >/run/systemd/system/warren.socket
systemctl daemon-reload
systemctl start warren.socket
[ "$(show ActiveState)" = inactive ]
amqp-declare-queue --url=amqp://127.0.0.1:5999 -q waiting >/dev/null
[ "$(show ActiveState)" = active ]

check "nothing was denied, nothing failed"
! logged 'Operation not permitted'
! systemctl list-units --failed --no-legend | grep warren
echo "all is well"
