# What the tests of packages share, to be sourced: a clean Debian to install into. As root, with a
# Debian mirror at hand.

say() { printf '== %s\n' "$*"; }

# The mirror that this machine's own packages come from.
mirror() {
    apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | sort | uniq -c | sort -rn |
        awk '!/security/ { print $2; exit }'
}

# clean_root KEPT ROOT: Debian into ROOT, out of a tarball of packages in KEPT that is made once.
clean_root() {
    local kept base

    mkdir -p "$1" "$2"
    kept=$(readlink -f "$1")
    base=$kept/base.tar
    if [ ! -f "$base" ]; then
        debootstrap --variant=minbase --include=ca-certificates --make-tarball="$base.part" \
            bookworm "$kept/bootstrap" "$(mirror)" >"$kept/debootstrap.log"
        mv "$base.part" "$base"
        rm -rf "$kept/bootstrap"
    fi
    chmod 755 "$2"
    debootstrap --unpack-tarball="$base" --variant=minbase bookworm "$2" "$(mirror)" \
        >>"$kept/debootstrap.log"
    cp /etc/resolv.conf "$2/etc/"
    cp -r /etc/apt/apt.conf.d/. "$2/etc/apt/apt.conf.d/"
}

# in_root ROOT COMMAND...
in_root() {
    local root=$1

    shift
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"
}

# install_in ROOT LOG PACKAGE...
install_in() {
    local root=$1 log=$2

    shift 2
    in_root "$root" apt-get update -q >"$log"
    in_root "$root" apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1
}
