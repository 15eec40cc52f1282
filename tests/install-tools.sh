#!/bin/sh
# Install the programs the tests drive: Debian packages as root, grpcurl with Go. What is there already is left alone.
# Debian starts etcd and nginx when they are installed; a policy-rc.d forbids that while this runs.
#
# usage: tests/install-tools.sh check|all        check: what unit, contract and simulator tests need
set -eu

packages="etcd-server etcd-client ca-certificates"
if [ "${1:-all}" = all ]; then
    packages="$packages nginx-light fcgiwrap podman buildah runc netavark aardvark-dns debootstrap docker-compose
        iptables iproute2 openssl procps"
fi
grpcurl=github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.9

missing=
for package in $packages; do
    # A plain nginx serves as well as nginx-light.
    if [ "$package" = nginx-light ] && command -v nginx >/dev/null; then continue; fi
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done

find_go() { PATH=$PATH:/usr/local/go/bin command -v go; }
find_grpcurl() { PATH=$PATH:/usr/local/bin:$HOME/go/bin command -v grpcurl; }
find_grpcurl >/dev/null || find_go >/dev/null || missing="$missing golang-go"

if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "test-setup: missing programs: sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    echo "test-setup: installing$missing"
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod +x $policy
    fi
    apt-get update -qq
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
fi

if ! find_grpcurl >/dev/null; then
    echo "test-setup: installing grpcurl with Go"
    "$(find_go)" install "$grpcurl"
fi
