#!/bin/sh
# Does the project set itself up on a machine that has nothing? A minimal Debian is made in a folder, the repository is
# cloned into it, and its quickstart runs there. Not part of `make check`: it needs root, debootstrap and a network.
#
#   usage: debootstrap.sh [--working-tree] [--suite SUITE] ROOT [MIRROR]
#
# ROOT: a folder for the system; one left by an earlier run is used again. MIRROR: of Debian; without it, the one that this
# machine's apt is set up with. --working-tree: copy the files as they lie here instead of cloning the last commit.
set -eu

usage() {
    sed -n 's/^#   usage: /usage: /p' "$0" >&2
    exit 2
}

suite=bookworm
from=clone
while [ $# -gt 0 ]; do
    case $1 in
        --working-tree) from=tree ;;
        --suite) suite=${2:?--suite needs a name}; shift ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
root=${1-}
[ -n "$root" ] || usage
src=$(cd "$(dirname "$0")/.." && pwd)
mirror=${2:-$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n "s/^$suite //p" | head -n 1)}
[ -n "$mirror" ] || { echo "apt names no mirror with $suite here: give one as the last argument" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "this needs root" >&2; exit 1; }

if [ ! -x "$root/bin/sh" ]; then
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror"
fi
root=$(cd "$root" && pwd)

rm -rf "$root/root/pudle"
if [ $from = clone ]; then
    git clone --quiet "$src" "$root/root/pudle"
else
    mkdir -p "$root/root/pudle"
    (cd "$src" && git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - --ignore-failed-read) |
        tar -C "$root/root/pudle" -xf -
fi

unmount() {
    umount "$root/proc" 2>/dev/null || :
}
trap unmount EXIT
trap 'exit 1' INT TERM
mount -t proc proc "$root/proc" 2>/dev/null || echo "going on without /proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"

status=0
for job in demo test; do
    echo "==== ./quickstart $job"
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        sh -c "cd /root/pudle && ./quickstart $job" </dev/null || { status=1; echo "==== ./quickstart $job FAILED"; }
done
[ $status -eq 0 ] && echo "==== demo and test both succeed on a minimal $suite"
exit $status
