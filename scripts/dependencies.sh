#!/usr/bin/env bash
# Checks for the .NET 10 SDK, and installs PostgreSQL and RabbitMQ on Debian and Ubuntu if they are missing. Prints nothing
# when nothing is missing. Leaves no service running or enabled and no system cluster: the AppHost starts its own instances.
#
#   scripts/dependencies.sh          exit 0: everything is there · 1: one line on stderr says what to do
#   scripts/dependencies.sh --sdk    the SDK alone: the servers are containers
set -euo pipefail

fail() {
    echo "ledger: $*" >&2
    exit 1
}

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }

# RabbitMQ's scripts are in sbin directories, which are often missing in a plain user's PATH.
has_rabbitmq() { compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server' >/dev/null || command -v rabbitmq-server >/dev/null; }

has_sdk() { command -v dotnet >/dev/null && dotnet --list-sdks 2>/dev/null | grep -q '^10\.'; }

has_sdk || fail "needs the .NET 10 SDK: install it from https://dotnet.microsoft.com/download/dotnet/10.0 and run this again."
if [[ ${1:-} == --sdk ]]; then exit 0; fi

missing=()
has_postgres || missing+=(postgresql)
has_rabbitmq || missing+=(rabbitmq-server)

# PostgreSQL refuses to run as root, which needs an account for it and a program to change to that account.
if ((EUID == 0)) && ! command -v setpriv >/dev/null; then missing+=(util-linux); fi

if ((${#missing[@]} > 0)); then
    command -v apt-get >/dev/null ||
        fail "needs ${missing[*]}: install PostgreSQL 15+ and RabbitMQ 3.10+ with this system's package manager and run this again."
    if ((EUID == 0)); then
        as_root=(env)
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [[ -t 0 ]] && sudo -v; }; }; then
        as_root=(sudo env)
    else
        fail "needs ${missing[*]}: run 'apt-get install --no-install-recommends ${missing[*]}' as root and run this again."
    fi

    echo "ledger: installing ${missing[*]} (no service is started)" >&2
    log=$(mktemp)
    # One process runs as root, so that its trap restores everything if a step fails.
    if ! "${as_root[@]}" DEBIAN_FRONTEND=noninteractive bash -s -- "${missing[@]}" >"$log" 2>&1 <<'ROOT'
set -euo pipefail
policy=/usr/sbin/policy-rc.d
kept=$policy.before-ledger
no_cluster=/etc/postgresql-common/createcluster.d/ledger-installs.conf

put_back() {
    rm -f "$no_cluster" "$policy"
    if [[ -e $kept ]]; then mv "$kept" "$policy"; fi
}
trap put_back EXIT
trap 'exit 1' INT TERM HUP

# An existing copy is the original: the installation that made it was killed.
if [[ -e $policy && ! -e $kept ]]; then mv "$policy" "$kept"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
if [[ " $* " == *" postgresql "* ]]; then
    mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' >"$no_cluster"
fi

# Outdated lists may name packages that are gone. Without a network the old lists may suffice.
apt-get update -q || true
apt-get install -q -y --no-install-recommends "$@"

# Not started now, and not at the next boot either.
if command -v systemctl >/dev/null; then
    for package in "$@"; do
        case $package in
            postgresql) systemctl disable postgresql || true ;;
            rabbitmq-server) systemctl disable rabbitmq-server epmd.service epmd.socket || true ;;
        esac
    done
fi
ROOT
    then
        cat "$log" >&2
        rm -f "$log"
        fail "could not install ${missing[*]}: see apt-get's output above; install them by hand and run this again."
    fi
    rm -f "$log"
fi

if ((EUID == 0)) && ! getent passwd postgres >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin postgres ||
        fail "needs an account named 'postgres', because PostgreSQL refuses to run as root: create it and run this again."
fi
