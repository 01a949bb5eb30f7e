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
url=$(printed_by system API) url=${url%% *}
data=$(printed_by system Data)
database=$(printed_by system PostgreSQL)
ledger=$root/Ledger.Cli/bin/Release/net10.0/ledger.dll

setting() { sed -n "s/.*\b$1=\([^;]*\).*/\1/p" <<<"$database"; }
PGHOST=$(setting Host) PGPORT=$(setting Port) PGUSER=$(setting Username) PGPASSWORD=$(setting Password)
export PGHOST PGPORT PGUSER PGPASSWORD

# pgbench must have the version of the server, which is the newest one installed.
pgbench=$(compgen -G '/usr/lib/postgresql/*/bin/pgbench' | sort -V | tail -1 || true)
pgbench=${pgbench:-$(command -v pgbench || true)}
[[ -n $pgbench ]] || fail "needs pgbench: it is in PostgreSQL's own package on Debian, in postgresql-contrib elsewhere."
bin=$(dirname "$pgbench")

# The system's processes: "group pid". PostgreSQL processes overwrite their environment, but they are children of the postmaster.
processes() {
    local pid postmaster
    for pid in $(grep -lzxF "LEDGER_DATA=$data" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
            *Ledger.Api.dll*) echo "api $pid" ;;
            *Ledger.Worker.dll*) echo "worker $pid" ;;
            *beam.smp*) echo "rabbitmq $pid" ;;
        esac
    done
    postmaster=$(head -1 "$data/postgres/postmaster.pid")
    for pid in "$postmaster" $(pgrep -P "$postmaster"); do echo "postgres $pid"; done
}

# CPU time so far: "group ticks".
cpu() {
    local group pid
    while read -r group pid; do
        # The fields after the name, which may contain anything: state is the first, utime and stime are the 12th and 13th.
        sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk -v group="$group" '{ print group, $12 + $13 }' || true
    done < <(processes) | awk '{ sum[$1] += $2 } END { for (group in sum) print group, sum[group] }' | sort
}

# Resident memory in MB: "group megabytes", without PostgreSQL's, whose processes share theirs.
memory() {
    local group pid
    while read -r group pid; do
        [[ $group == postgres ]] || awk -v group="$group" '/^VmRSS:/ { printf "%s %d MB  ", group, $2 / 1024 }' "/proc/$pid/status" || true
    done < <(processes)
}

run_pgbench() {
    "$pgbench" -c 20 -j 2 -M prepared -T "$seconds" pgbench >"$work/pgbench.log" 2>&1 || { cat "$work/pgbench.log" >&2; fail "pgbench failed."; }
    tps=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$work/pgbench.log")
    echo "$tps" >>"$work/pgbench.figures"
    echo "  pgbench  $tps tps"
}

run_ledger() {
    local line bench hz
    exec 3< <(exec dotnet "$ledger" bench --url "$url" --connections "$connections" --accounts "$accounts" --duration "${seconds}s" --warmup 10s "${keys[@]}" 2>&1)
    bench=$!
    while read -r line <&3; do
        echo "$line" >>"$work/bench.log"
        case $line in
            Registered*) echo "  ledger   $line" ;;
            Measuring*) cpu >"$work/before" ;;
            Measured*)
                cpu >"$work/after"
                memory >"$work/memory"
                ;;
            *transfers/s)
                figure=${line% transfers/s}
                echo "$figure" >>"$work/ledger.figures"
                ;;
            p50*) latency=$line ;;
            *"CPU of this generator: "*) generator=${line##*generator: } generator=${generator%% *} ;;
        esac
    done
    exec 3<&-
    wait "$bench" || { tail -20 "$work/bench.log" >&2; fail "ledger bench failed, see above."; }
    echo "  ledger   $figure transfers/s, $latency"
    hz=$(getconf CLK_TCK)
    # µs of CPU per transfer, by process.
    join "$work/before" "$work/after" | awk -v hz="$hz" -v transfers="$((figure * seconds))" -v generator="$generator" '
        { us = ($3 - $2) / hz * 1e6 / transfers; sum += us; line = line sprintf("%s %.1f  ", $1, us) }
        END { printf "           CPU µs per transfer: %sgenerator %.1f  all %.1f\n", line, generator, sum + generator }'
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

ConnectionStrings__ledgerdb=$database dotnet "$ledger" verify >"$work/verify.log" || { cat "$work/verify.log" >&2; fail "the books do not balance, see above."; }
tail -1 "$work/verify.log"

awk -v pgbench="$(median "$work/pgbench.figures")" -v ledger="$(median "$work/ledger.figures")" \
    'BEGIN { printf "medians: pgbench %.0f tps, ledger %.0f transfers/s, ratio %.2f\n", pgbench, ledger, ledger / pgbench }'
