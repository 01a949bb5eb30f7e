#!/usr/bin/env bash
# Compares two variants of Ledger: runs both systems and lets `ledger bench` measure them in turns, so that what else the
# machine does meets both alike. A variant is a checkout of any version, environment variables, or both. With the word
# service-key, a service account sends the transfers on behalf of the users; otherwise the users send them.
#
#   scripts/compare.sh [--rounds 5] [--seconds 6] [--accounts 1000] FIRST SECOND
#   scripts/compare.sh OTEL_SDK_DISABLED=true 'OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317'
#   scripts/compare.sh ../ledger-of-last-month .
#   scripts/compare.sh . service-key
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}
rounds=5 seconds=6 accounts=1000 variants=()
while (($# > 0)); do
    case $1 in
        --rounds) rounds=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --accounts) accounts=$2; shift 2 ;;
        -*) usage ;;
        *) variants+=("$1"); shift ;;
    esac
done
((${#variants[@]} == 2)) || usage

fail() {
    echo "compare: $*" >&2
    exit 1
}

source "$root/scripts/systems.sh"
ledger() { dotnet "$root/Ledger.Cli/bin/Release/net10.0/ledger.dll" "$@"; }
benches=('' '')
for index in 0 1; do
    checkout=$root settings=() service=
    for word in ${variants[index]}; do
        case $word in
            service-key) service=yes ;;
            *=*) settings+=("$word") ;;
            *) checkout=$word ;;
        esac
    done
    [[ -x $checkout/run.sh ]] || fail "$checkout is no checkout of Ledger."
    echo "compare: starting ${variants[index]} …"
    start_system "$checkout" "$index" "${settings[@]}"
    if [[ -n $service ]]; then
        ConnectionStrings__ledgerdb=$(printed_by "$index" PostgreSQL) ledger service create --name compare --scopes transactions >/dev/null
        declare "KEY_$index=$(ConnectionStrings__ledgerdb=$(printed_by "$index" PostgreSQL) ledger service key create compare | tail -n 1)"
        export "KEY_$index"
        benches[index]="--service-key-variable KEY_$index"
    fi
done

echo "compare: $(nproc) CPUs, load average before: $(cut -d' ' -f1-3 /proc/loadavg); ledger bench --connections 128 --accounts $accounts --duration ${seconds}s"
# The first round warms up both: it is not counted.
for ((round = 0; round <= rounds; round++)); do
    for index in 0 1; do
        # shellcheck disable=SC2086
        run_bench "$index" --connections 128 --accounts "$accounts" --duration "${seconds}s" ${benches[index]}
        ((round > 0)) || continue
        echo "$figure" >>"$work/$index.figures"
        echo "  $figure transfers/s  ${variants[index]}"
        echo "    CPU µs per transfer: $cpu_per_transfer"
    done
done

awk -v first="$(median "$work/0.figures")" -v second="$(median "$work/1.figures")" \
    'BEGIN { printf "medians: first %.0f transfers/s, second %.0f transfers/s, second/first %.2f\n", first, second, second / first }'
