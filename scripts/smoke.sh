#!/usr/bin/env bash
# Checks a running Ledger with one request of each kind that a client sends, and prints a line for each step. Needs only curl.
#
#   scripts/smoke.sh BASE_URL [--wait SECONDS]     scripts/smoke.sh http://localhost:8080 --wait 60
#
# BASE_URL may end in a path prefix. --wait: seconds that the system may take to become healthy (default: 0).
# LEDGER_API_KEY: the key of a service account with scope transactions, which makes the deposit if users may not deposit for themselves (Production).
# Exit code: 0 every step passed · 1 a step failed and the remaining ones were not run · 2 wrong arguments.
set -euo pipefail

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

base= patience=0
while (($# > 0)); do
    case $1 in
        --wait) patience=${2:-}; [[ $patience =~ ^[0-9]+$ ]] || usage; shift 2 ;;
        http://* | https://*) [[ -z $base ]] || usage; base=${1%/}; shift ;;
        *) usage ;;
    esac
done
[[ -n $base ]] || usage

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
body=$work/body headers=$work/headers problem=$work/problem
status=

pass() { printf 'ok    %s\n' "$1"; }
fail() {
    printf 'FAIL  %s: %s\n' "$1" "$2"
    exit 1
}

# request METHOD PATH [curl options …]: sets status (000: no answer) and writes body and headers.
request() {
    local method=$1 path=$2
    shift 2
    : >"$body"
    status=$(curl -sS --connect-timeout 5 --max-time 60 -X "$method" -o "$body" -D "$headers" -w '%{http_code}' "$@" "$base$path" 2>"$problem") || true
}

# post PATH TOKEN BODY [curl options …]
post() {
    local path=$1 token=$2 data=$3
    shift 3
    request POST "/api/v1/$path" -H 'Content-Type: application/json' ${token:+-H "Authorization: Bearer $token"} -d "$data" "$@"
}

# field NAME: the first string property of that name. Enough here, because no user's text precedes the fields that are read.
field() { { grep -o "\"$1\":\"[^\"]*\"" "$body" || true; } | head -1 | cut -d'"' -f4; }

must_be() {
    local step=$1 wanted=$2
    [[ $status == "$wanted" ]] || fail "$step" "$wanted expected, got $status $(head -c 600 "$body")$(head -c 300 "$problem")"
}

# balance_must_be TOKEN BALANCE: the posted balance in USD.
balance_must_be() {
    request GET /api/v1/balances/USD -H "Authorization: Bearer $1"
    must_be balance 200
    [[ $(field posted) == "$2" ]] || fail balance "$2 expected, got $(<"$body")"
}

# new_user EMAIL: registers and logs in; sets token.
new_user() {
    post identity/register '' "{\"email\":\"$1\",\"password\":\"$password\"}"
    must_be register 201
    post identity/login '' "{\"email\":\"$1\",\"password\":\"$password\"}"
    must_be login 200
    token=$(field accessToken)
    [[ -n $token ]] || fail login "no accessToken in $(<"$body")"
}

# /health includes PostgreSQL and RabbitMQ.
deadline=$((SECONDS + patience))
until request GET /health && [[ $status == 200 ]]; do
    ((SECONDS < deadline)) || must_be health 200
    sleep 1
done
pass "health"

run=$(date +%s)-$$-$RANDOM
password=Correct-horse-$RANDOM$RANDOM
alice=smoke-alice-$run@example.com bob=smoke-bob-$run@example.com
new_user "$bob"
bobs=$token
new_user "$alice"
pass "register and log in: two users"

request GET /api/v1/balances
must_be "without a token" 401
pass "without a token: refused"

if [[ -n ${LEDGER_API_KEY:-} ]]; then
    post deposits "$LEDGER_API_KEY" "{\"onBehalfOf\":\"$alice\",\"currency\":\"USD\",\"amount\":\"100.00\"}"
else
    post deposits "$token" '{"currency":"USD","amount":"100.00"}'
fi
must_be deposit 201
pass "deposit"

post withdrawals "$token" '{"currency":"USD","amount":"30.00"}'
must_be withdraw 201
pass "withdraw"

transfer="{\"to\":\"$bob\",\"currency\":\"USD\",\"amount\":\"20.50\"}"
post transfers "$token" "$transfer" -H "Idempotency-Key: $run"
must_be transfer 201
transaction=$(field id)
pass "transfer"

post transfers "$token" "$transfer" -H "Idempotency-Key: $run"
must_be "retry with the same key" 201
[[ $(field id) == "$transaction" ]] || fail "retry with the same key" "another transaction: $(<"$body")"
grep -qi '^idempotency-replayed: *true' "$headers" || fail "retry with the same key" "no Idempotency-Replayed in $(<"$headers")"
pass "retry with the same key: the same transaction"

post withdrawals "$token" '{"currency":"USD","amount":"49.51"}'
must_be "withdraw too much" 422
[[ $(field code) == insufficient_funds ]] || fail "withdraw too much" "insufficient_funds expected, got $(<"$body")"
pass "withdraw too much: rejected"

balance_must_be "$token" 49.50
balance_must_be "$bobs" 20.50
pass "balances"

request GET "/api/v1/transactions/$transaction" -H "Authorization: Bearer $token"
must_be "look a transaction up" 200
pass "look a transaction up"
