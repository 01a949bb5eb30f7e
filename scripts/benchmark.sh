#!/usr/bin/env bash
# Measures Ledger end to end against PostgreSQL alone: `ledger bench` (HTTP, authentication, RabbitMQ, worker, commit) and
# pgbench's TPC-B-like script take turns on the same PostgreSQL, so that what else the machine does meets both alike.
# Starts a system of its own on free ports with fresh data, and removes it at the end.
#
#   scripts/benchmark.sh [--rounds 3] [--seconds 20] [--connections 128] [--accounts 10000] [--idempotency-keys]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

rounds=3 seconds=20 connections=128 accounts=10000 keys=()
while (($# > 0)); do
    case $1 in
        --rounds) rounds=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --connections) connections=$2; shift 2 ;;
        --accounts) accounts=$2; shift 2 ;;
        --idempotency-keys) keys=(--idempotency-keys); shift ;;
        *) sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done

fail() {
    echo "benchmark: $*" >&2
    exit 1
}

source "$root/scripts/systems.sh"
echo "benchmark: starting a system …"
start_system "$root" system
database=$(printed_by system PostgreSQL)
use_postgres system

# pgbench must have the version of the server, which is the newest one installed.
pgbench=$(compgen -G '/usr/lib/postgresql/*/bin/pgbench' | sort -V | tail -1 || true)
pgbench=${pgbench:-$(command -v pgbench || true)}
[[ -n $pgbench ]] || fail "needs pgbench: it is in PostgreSQL's own package on Debian, in postgresql-contrib elsewhere."
bin=$(dirname "$pgbench")

run_pgbench() {
    "$pgbench" -c 20 -j 2 -M prepared -T "$seconds" pgbench >"$work/pgbench.log" 2>&1 || { cat "$work/pgbench.log" >&2; fail "pgbench failed."; }
    tps=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$work/pgbench.log")
    echo "$tps" >>"$work/pgbench.figures"
    echo "  pgbench  $tps tps"
}

run_ledger() {
    run_bench system --connections "$connections" --accounts "$accounts" --duration "${seconds}s" --warmup 10s "${keys[@]}"
    echo "$figure" >>"$work/ledger.figures"
    echo "  ledger   $figure transfers/s, $latency"
    echo "           CPU µs per transfer: $cpu_per_transfer"
    echo "           resident: $(<"$work/memory")"
}

"$bin/createdb" pgbench
"$pgbench" -i -s 10 -q pgbench >"$work/pgbench.log" 2>&1 || { cat "$work/pgbench.log" >&2; fail "pgbench could not make its tables."; }

echo "benchmark: $(nproc) CPUs, load average before: $(cut -d' ' -f1-3 /proc/loadavg)"
echo "benchmark: pgbench -c 20 -j 2 -M prepared -T $seconds, scale 10; ledger bench --connections $connections --accounts $accounts --duration ${seconds}s ${keys[*]}"
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds"
    run_pgbench
    run_ledger
done

ConnectionStrings__ledgerdb=$database dotnet "$root/Ledger.Cli/bin/Release/net10.0/ledger.dll" verify >"$work/verify.log" || { cat "$work/verify.log" >&2; fail "the books do not balance, see above."; }
tail -1 "$work/verify.log"

awk -v pgbench="$(median "$work/pgbench.figures")" -v ledger="$(median "$work/ledger.figures")" \
    'BEGIN { printf "medians: pgbench %.0f tps, ledger %.0f transfers/s, ratio %.2f\n", pgbench, ledger, ledger / pgbench }'
