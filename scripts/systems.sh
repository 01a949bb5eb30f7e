# Sourced by the scripts that measure: starts systems on free ports with fresh data, and ends them with the script.
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

# Users register and log in before each measurement. With the usual cost of a password hash that would take most of the time;
# transfers hash nothing.
export Ledger__Identity__PasswordIterations=1000
# Limits count as in Production, but thousands of logins from one address pass.
export Ledger__RateLimit__Enabled=true Ledger__RateLimit__AddressPerMinute=1000000 Ledger__RateLimit__AddressBurst=1000000

# start_system CHECKOUT NAME [VARIABLE=value …]: returns when the system runs. Its output is in $work/NAME.log.
start_system() {
    local checkout=$1 log=$work/$2.log host quiet=()
    shift 2
    # Earlier checkouts start native servers and no dashboard by default.
    if [[ -e $checkout/Ledger.AppHost/CommandLine.cs ]]; then quiet=(--servers native --no-dashboard); fi
    : >"$log"
    env "$@" "$checkout/run.sh" "${quiet[@]}" --ephemeral --port 0 --postgres-port 0 --rabbitmq-port 0 --management-port 0 >"$log" 2>&1 &
    host=$!
    hosts+=("$host")
    until grep -q '^Ctrl+C stops everything' "$log"; do
        kill -0 "$host" 2>/dev/null || { cat "$log" >&2; fail "the system did not start, see above."; }
        sleep 0.2
    done
}

# printed_by NAME LABEL: a line that a system printed at its start, such as the address of its API.
printed_by() { sed -n "s/^$2  *\(.*\)/\1/p" "$work/$1.log"; }

median() { sort -n "$1" | awk '{ value[NR] = $1 } END { print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'; }
