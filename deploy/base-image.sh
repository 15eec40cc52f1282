#!/usr/bin/env bash
# Make a Debian 12 root file system as a tar and print its path: the base of the image where no registry can be
# reached. Takes minutes the first time; cached under $XDG_CACHE_HOME (or ~/.cache) afterwards. Needs root.
#
# usage: deploy/base-image.sh            environment: MESHNODE_DEBIAN_MIRROR (default http://deb.debian.org/debian)
set -euo pipefail

mirror=${MESHNODE_DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=ca-certificates,git,python3,python3-venv,tini
cache=${XDG_CACHE_HOME:-$HOME/.cache}/meshnode
# A change of the package list or the mirror makes another base.
name=base-bookworm-$(printf '%s %s' "$mirror" "$packages" | sha256sum | cut -c1-12).tar
target=$cache/$name

if [ -s "$target" ]; then
    echo "$target"
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    echo "base-image.sh: needs root and debootstrap: sudo apt-get install debootstrap, then run it with sudo -E" >&2
    exit 1
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/debootstrap.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
debootstrap --variant=minbase --include="$packages" bookworm "$work/root" "$mirror" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    exit 1
}
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
tar --directory "$work/root" --create --numeric-owner --file "$work/base.tar" .
mv "$work/base.tar" "$target"
echo "$target"
