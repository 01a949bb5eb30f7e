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

# use_postgres NAME: psql and pgbench of this shell connect to the database of a system.
use_postgres() {
    local database
    database=$(printed_by "$1" PostgreSQL)
    setting() { sed -n "s/.*\b$1=\([^;]*\).*/\1/p" <<<"$database"; }
    PGHOST=$(setting Host) PGPORT=$(setting Port) PGUSER=$(setting Username) PGPASSWORD=$(setting Password) PGDATABASE=$(setting Database)
    export PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE
}

# processes NAME: the system's processes, "group pid". PostgreSQL processes overwrite their environment, but they are children of the
# postmaster. The one that seals the journal is a group of its own.
processes() {
    local pid postmaster sealer data
    data=$(printed_by "$1" Data)
    for pid in $(grep -lzxF "LEDGER_DATA=$data" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
            *Ledger.Api.dll*) echo "api $pid" ;;
            *Ledger.Worker.dll*) echo "worker $pid" ;;
            *beam.smp*) echo "rabbitmq $pid" ;;
        esac
    done
    postmaster=$(head -1 "$data/postgres/postmaster.pid")
    sealer=$(use_postgres "$1"; psql -AtX -c "select pid from pg_stat_activity where query like '%ledger.seal(%' and pid <> pg_backend_pid()")
    for pid in "$postmaster" $(pgrep -P "$postmaster"); do
        if [[ $pid == "$sealer" ]]; then echo "sealing $pid"; else echo "postgres $pid"; fi
    done
}

# cpu NAME: CPU time so far, "group ticks".
cpu() {
    local group pid
    while read -r group pid; do
        # The fields after the name, which may contain anything: state is the first, utime and stime are the 12th and 13th.
        sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk -v group="$group" '{ print group, $12 + $13 }' || true
    done < <(processes "$1") | awk '{ sum[$1] += $2 } END { for (group in sum) print group, sum[group] }' | sort
}

# memory NAME: resident memory, "group megabytes", without PostgreSQL's, whose processes share theirs.
memory() {
    local group pid
    while read -r group pid; do
        [[ $group == postgres || $group == sealing ]] || awk -v group="$group" '/^VmRSS:/ { printf "%s %d MB  ", group, $2 / 1024 }' "/proc/$pid/status" || true
    done < <(processes "$1")
}

# run_bench NAME [argument …]: runs `ledger bench` on a system. Sets figure (transfers/s), latency and cpu_per_transfer (µs, by
# process), and leaves the resident memory in $work/memory.
run_bench() {
    local name=$1 line bench hz url transfers generator
    shift
    url=$(printed_by "$name" API)
    : >"$work/bench.log"
    exec 3< <(exec dotnet "$root/Ledger.Cli/bin/Release/net10.0/ledger.dll" bench --url "${url%% *}" "$@" 2>&1)
    bench=$!
    while read -r line <&3; do
        echo "$line" >>"$work/bench.log"
        case $line in
            Measuring*) cpu "$name" >"$work/before" ;;
            Measured*)
                cpu "$name" >"$work/after"
                memory "$name" >"$work/memory"
                ;;
            *transfers/s) figure=${line% transfers/s} ;;
            p50*) latency=$line ;;
            *"CPU of this generator: "*) transfers=${line%% *} generator=${line##*generator: } generator=${generator%% *} ;;
        esac
    done
    exec 3<&-
    wait "$bench" || { tail -20 "$work/bench.log" >&2; fail "ledger bench failed, see above."; }
    hz=$(getconf CLK_TCK)
    cpu_per_transfer=$(join "$work/before" "$work/after" | awk -v hz="$hz" -v transfers="$transfers" -v generator="$generator" '
        { us = ($3 - $2) / hz * 1e6 / transfers; sum += us; line = line sprintf("%s %.1f  ", $1, us) }
        END { printf "%sgenerator %.1f  all %.1f", line, generator, sum + generator }')
}

median() { sort -n "$1" | awk '{ value[NR] = $1 } END { print NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2 }'; }
