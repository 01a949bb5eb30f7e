# Sourced by what measures: systems of their own, on free ports and with fresh data, which end with the script.
# shellcheck shell=bash

work=$(mktemp -d)
hosts=()

stop_systems() {
    local status=$? host
    trap - EXIT
    for host in "${hosts[@]}"; do
        if kill -0 "$host" 2>/dev/null; then
            kill -TERM "$host"
            wait "$host" || true
        fi
    done
    rm -rf "$work"
    exit "$status"
}
trap stop_systems EXIT
trap 'exit 130' INT TERM

# Users are registered and logged in before each measurement: hashing their passwords as slowly as for people would take most
# of the time. Transfers hash nothing.
export Ledger__Identity__PasswordIterations=1000
# Limits count as in Production; only the thousands of logins from one address are let through.
export Ledger__RateLimit__Enabled=true Ledger__RateLimit__AddressPerMinute=1000000 Ledger__RateLimit__AddressBurst=1000000

# start_system CHECKOUT NAME [VARIABLE=value …]: returns when it runs; what it printed is in $work/NAME.log.
start_system() {
    local checkout=$1 log=$work/$2.log host
    shift 2
    env "$@" "$checkout/run.sh" --ephemeral --port 0 --postgres-port 0 --rabbitmq-port 0 --management-port 0 >"$log" 2>&1 &
    host=$!
    hosts+=("$host")
    until grep -q '^Ctrl+C stops everything' "$log"; do
        kill -0 "$host" 2>/dev/null || { cat "$log" >&2; fail "the system did not start, see above."; }
        sleep 0.2
    done
}

# printed_by NAME WHAT: what a system printed of itself at its start, such as the address of its API.
printed_by() { sed -n "s/^$2  *\(.*\)/\1/p" "$work/$1.log"; }

median() { sort -n "$1" | awk '{ value[NR] = $1 } END { print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'; }
