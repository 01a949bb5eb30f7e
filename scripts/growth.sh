#!/usr/bin/env bash
# Measures how Ledger's costs grow with its tables: fills a system of its own with generated history, and measures posting,
# reads and verification at each size. It also compares the table of entries with a copy that has monthly partitions.
# Removes the system at the end.
#
#   scripts/growth.sh [--sizes '1000000 20000000'] [--accounts 10000] [--seconds 15]
#
# Sizes are numbers of entries. 20 million entries need 15 GB of disk and about 40 minutes on 2 cores.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

sizes='1000000 20000000' accounts=10000 seconds=15
while (($# > 0)); do
    case $1 in
        --sizes) sizes=$2; shift 2 ;;
        --accounts) accounts=$2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done

fail() {
    echo "growth: $*" >&2
    exit 1
}

source "$root/scripts/systems.sh"
echo "growth: starting a system …"
# A block takes a whole chunk of generated transactions. The verifier runs when this script asks for it.
start_system "$root" system Ledger__Journal__BlockLength=100000 Ledger__Verification__IntervalMinutes=0
url=$(printed_by system API) url=${url%% *}
ledger=$root/Ledger.Cli/bin/Release/net10.0/ledger.dll
ConnectionStrings__ledgerdb=$(printed_by system PostgreSQL)
export ConnectionStrings__ledgerdb

use_postgres system
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

# The merchant is a user with a session: one in ten transfers pays it.
post() { curl -sf --max-time 30 -H 'Content-Type: application/json' -d "$2" "$url/api/v1/$1"; }
post identity/register '{"email":"merchant@example.com","password":"a long enough password"}' >/dev/null || fail "the merchant could not be registered."

echo "growth: $(nproc) CPUs, $(sql -c 'show server_version'), shared_buffers $(sql -c 'show shared_buffers'), load average $(cut -d' ' -f1-3 /proc/loadavg)"
sql -v accounts="$accounts" -f "$root/scripts/growth.sql"

# Generated history in chunks of 50,000 transactions (100,000 entries). The worker seals each chunk as a block.
generate() {
    local from=$SECONDS
    until (($(sql -c 'select coalesce(max(last_i), 0) from growth.state') * 2 >= $1)); do
        sql -c 'call growth.generate(50000)'
    done
    echo "  generated in $((SECONDS - from)) s"
    from=$SECONDS
    until [[ $(sql -c 'select (select count(*) from ledger.transactions) - (select coalesce(max(last_sequence), 0) from ledger.blocks)') == 0 ]]; do sleep 0.5; done
    echo "  sealed $((SECONDS - from)) s later"
    sql -c 'vacuum analyze ledger.entries' -c 'vacuum analyze ledger.transactions' -c 'analyze ledger.journal' -c 'analyze ledger.accounts'
}

# read_time LABEL PATH: the median of 101 requests, after 20 that warm up.
read_time() {
    local path=$2 urls=() i
    for ((i = 0; i < 121; i++)); do urls+=(-o /dev/null "$url/api/v1/$path"); done
    curl -sf --max-time 60 -H "Authorization: Bearer $token" -w '%{time_total}\n' "${urls[@]}" | tail -n 101 |
        awk '{ print $1 * 1000 }' | sort -n | awk -v label="$1" '{ v[NR] = $1 } END { printf "  %-44s %8.1f ms (median), %8.1f ms (worst)\n", label, v[(NR + 1) / 2], v[NR] }' ||
        fail "GET $path failed."
}

for size in $sizes; do
    echo "growth: $size entries"
    generate "$size"
    middle=$(sql -c "select to_char(growth.time_of(max(last_i) / 2) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from growth.state")
    sequence=$(sql -c 'select max(last_sequence) / 2 from ledger.blocks')
    sql -c "select format('  %s: %s rows, %s, indexes %s', c.relname, c.reltuples::bigint, pg_size_pretty(pg_table_size(c.oid)), pg_size_pretty(pg_indexes_size(c.oid)))
        from pg_class c where c.oid in ('ledger.entries'::regclass, 'ledger.transactions'::regclass, 'ledger.journal'::regclass) order by 1"
    # Here, because an access token lives for less time than it takes to generate history.
    token=$(post identity/login '{"email":"merchant@example.com","password":"a long enough password"}' | sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p')
    dotnet "$ledger" bench --url "$url" --connections 128 --accounts 1000 --duration "${seconds}s" | grep -E 'transfers/s|p50' | sed 's/^/  posting: /'
    echo "  merchant with $(sql -c "select count(*) from ledger.entries where account_id = (select id from growth.accounts where n = 0)") entries:"
    read_time 'newest 50 transactions' 'transactions?limit=50'
    read_time '50 transactions in the middle of history' "transactions?limit=50&to=$middle"
    read_time 'balance' 'balances/USD'
    read_time 'balance in the middle of history' "balances/USD?at=$middle"
    read_time '100 events from the beginning' 'events?limit=100'
    read_time '100 events in the middle of history' "events?limit=100&after=$sequence"
    for full in '' --full; do
        from=$(date +%s%N)
        dotnet "$ledger" verify --rows 3 $full >"$work/verify.log" || { cat "$work/verify.log" >&2; fail "ledger verify found a broken rule."; }
        echo "  ledger verify $full: $((($(date +%s%N) - from) / 1000000)) ms"
    done
done

echo "growth: entries with monthly partitions, beside the table as it is"
sql -v accounts="$accounts" -f "$root/scripts/growth-partitions.sql"
