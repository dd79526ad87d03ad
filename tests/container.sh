#!/usr/bin/env bash
# Builds the container of packaging/Containerfile with buildah, starts what it starts as the user
# that it names, has a message published there and stops it. The image that it begins with is not
# pulled but made by debootstrap. As root, with a Debian mirror at hand; where buildah is not there
# or cannot build, it says so and ends with 77.
#   tests/container.sh [FOLDER]    FOLDER keeps the images while it runs (default: build-container)
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tests/lib/root.sh
to=${1:-build-container}
root= pid= container=
base=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' packaging/Containerfile | sort -u)

skip() {
    say "left out: $*"
    exit 77
}

engine() { buildah --storage-driver vfs --root "$to/images" --runroot "$to/run" "$@"; }

clean_up() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -z "$container" ] || engine rm "$container" >/dev/null || true
    [ ! -d "$to/images" ] || engine rm --all >/dev/null || true
    rm -rf --one-file-system "$to/images" "$to/run" "$to/source" $root
}

[ "$(id -u)" -eq 0 ] || skip "only root may do this"
command -v buildah >/dev/null || skip "buildah is not installed"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
mkdir -p "$to"
to=$(readlink -f "$to")
trap clean_up EXIT

say "$base"
root=$(mktemp -d /tmp/warren-root-XXXXXX)
clean_root "$to" "$root"
container=$(engine from scratch) || skip "buildah does not work here"
engine add -q "$container" "$root" / >/dev/null
engine commit -q "$container" "$base" >/dev/null
engine run --isolation chroot "$container" true || skip "buildah runs nothing here"
engine rm "$container" >/dev/null
container=

say "the container"
mkdir -p "$to/source"
git ls-files -z -co --exclude-standard | xargs -0 cp --parents -t "$to/source"
engine build --isolation chroot --pull-never --format docker -f "$to/source/packaging/Containerfile" \
    -t warren-tested "$to/source" >"$to/build.log" 2>&1 || { tail -n 40 "$to/build.log" >&2; exit 1; }
config() { engine inspect --type image --format "$1" warren-tested; }
[ "$(config '{{.Docker.Config.User}}')" = warren ]
[ "$(config '{{.Docker.Config.StopSignal}}')" = SIGTERM ]
words() { config "{{range $1}}{{println .}}{{end}}" | grep .; }
mapfile -t start < <(words .Docker.Config.Entrypoint)
mapfile -t check < <(words .Docker.Config.Healthcheck.Test)
[ "${check[0]}" = CMD ]

say "the broker in it"
container=$(engine from --pull-never warren-tested)
inside=$(engine mount "$container")
printf 'default_user = ops\ndefault_pass = geheim\n' >"$inside/etc/warren/conf.d/user.conf"
mkfifo "$to/ready"
engine run --isolation chroot "$container" -- "${start[@]}" --amqp-port 0 --mgmt-port 0 \
    --bind 127.0.0.1 --set prometheus=false --set "log.dir=/tested-$$" >"$to/ready" 2>"$to/broker.log" &
pid=$!
read -r -t 60 line <"$to/ready"
amqp=$(sed -n 's/.*amqp=\([0-9]*\).*/\1/p' <<<"$line")
mgmt=$(sed -n 's/.*mgmt=\([0-9]*\).*/\1/p' <<<"$line")
broker=$(pgrep -f -- "^${start[0]} .*log.dir=/tested-$$\$")
[ "$(awk '/^Uid:/ { print $2 }' "/proc/$broker/status")" = 999 ]
engine run --isolation chroot --env "WARRENCTL_PORT=$mgmt" "$container" -- "${check[@]:1}"
/usr/bin/python3 - "$amqp" <<'PY'
import sys
import pika
connection = pika.BlockingConnection(pika.ConnectionParameters(
    "127.0.0.1", int(sys.argv[1]), credentials=pika.PlainCredentials("ops", "geheim")))
channel = connection.channel()
channel.queue_declare("contained", durable=True)
channel.confirm_delivery()
channel.basic_publish("", "contained", b"hello", pika.BasicProperties(delivery_mode=2))
assert channel.basic_get("contained")[2] == b"hello"
connection.close()
PY
kill -TERM "$broker"
wait "$pid"
pid=
grep -q 'stopped in order' "$to/broker.log"
say "the container works"
