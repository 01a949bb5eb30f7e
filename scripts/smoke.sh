#!/usr/bin/env bash
# Checks a running Ledger with one request of each kind that a client sends, and prints a line for each step. Needs only curl.
#
#   scripts/smoke.sh BASE_URL [--wait SECONDS]     scripts/smoke.sh http://localhost:8080 --wait 60
#
# BASE_URL may end in a path prefix. --wait: seconds that the system may take to become healthy (default: 0).
# LEDGER_API_KEY: the key of a service account with scope transactions, which makes the deposit if users may not deposit for themselves (Production), and
#     sends a journal, reversals and an exchange. Skipped without it.
# LEDGER_OPERATOR, LEDGER_OPERATOR_PASSWORD: an operator's e-mail address, who opens the house account smoke and sets a credit limit. Skipped without it.
# Exit code: 0 every step passed · 1 a step failed and the remaining ones were not run · 2 wrong arguments.
set -euo pipefail

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
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
skip() { printf 'skip  %s\n' "$1"; }
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

# code_must_be STEP STATUS CODE: the problem of the last request.
code_must_be() {
    must_be "$1" "$2"
    [[ $(field code) == "$3" ]] || fail "$1" "$3 expected, got $(<"$body")"
}

# log_in EMAIL PASSWORD: sets token.
log_in() {
    post identity/login '' "{\"email\":\"$1\",\"password\":\"$2\"}"
    must_be login 200
    token=$(field accessToken)
    [[ -n $token ]] || fail login "no accessToken in $(<"$body")"
}

# new_user EMAIL: registers and logs in; sets token.
new_user() {
    post identity/register '' "{\"email\":\"$1\",\"password\":\"$password\"}"
    must_be register 201
    log_in "$1" "$password"
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
code_must_be "withdraw too much" 422 insufficient_funds
pass "withdraw too much: rejected"

balance_must_be "$token" 49.50
balance_must_be "$bobs" 20.50
pass "balances"

request GET "/api/v1/transactions/$transaction" -H "Authorization: Bearer $token"
must_be "look a transaction up" 200
pass "look a transaction up"

if [[ -n ${LEDGER_API_KEY:-} ]]; then
    post transactions "$LEDGER_API_KEY" "{\"postings\":[
        {\"from\":\"user:$alice\",\"to\":\"user:$bob\",\"currency\":\"USD\",\"amount\":\"9.00\"},
        {\"from\":\"user:$alice\",\"to\":\"world\",\"currency\":\"USD\",\"amount\":\"0.50\"}]}"
    must_be journal 201
    journal=$(field id)
    [[ $(field kind) == journal && $(field amount) == 9.50 ]] || fail journal "a journal of 9.50 expected, got $(<"$body")"
    balance_must_be "$token" 40.00
    balance_must_be "$bobs" 29.50
    pass "journal with two postings"

    post transactions "$LEDGER_API_KEY" "{\"postings\":[
        {\"from\":\"user:$bob\",\"to\":\"user:$alice\",\"currency\":\"USD\",\"amount\":\"1.00\"},
        {\"from\":\"user:$alice\",\"to\":\"world\",\"currency\":\"USD\",\"amount\":\"41.01\"}]}"
    code_must_be "journal beyond the balance" 422 insufficient_funds
    grep -q '"index":1' "$body" || fail "journal beyond the balance" "index 1 expected, got $(<"$body")"
    balance_must_be "$bobs" 29.50
    pass "journal beyond the balance: rejected as a whole"

    post "transactions/$journal/reversal" "$LEDGER_API_KEY" '{}'
    must_be reversal 201
    [[ $(field kind) == reversal && $(field reverses) == "$journal" ]] || fail reversal "a reversal of $journal expected, got $(<"$body")"
    balance_must_be "$token" 49.50
    balance_must_be "$bobs" 20.50
    post "transactions/$journal/reversal" "$LEDGER_API_KEY" '{}'
    code_must_be "second reversal" 409 already_reversed
    pass "reversal: once"

    post exchanges "$LEDGER_API_KEY" "{\"onBehalfOf\":\"$alice\",\"sell\":{\"currency\":\"USD\",\"amount\":\"9.50\"},\"buy\":{\"currency\":\"EUR\",\"amount\":\"8.70\"}}"
    must_be exchange 201
    exchange=$(field id)
    [[ $(field kind) == exchange ]] || fail exchange "an exchange expected, got $(<"$body")"
    balance_must_be "$token" 40.00
    request GET /api/v1/balances/EUR -H "Authorization: Bearer $token"
    [[ $status == 200 && $(field posted) == 8.70 ]] || fail exchange "8.70 EUR expected, got $(<"$body")"
    # So that the positions of the exchange are what they were.
    post "transactions/$exchange/reversal" "$LEDGER_API_KEY" '{}'
    must_be "reversal of the exchange" 201
    balance_must_be "$token" 49.50
    pass "exchange, and its reversal"
else
    skip "journal, reversal, exchange: LEDGER_API_KEY is not set"
fi

if [[ -n ${LEDGER_OPERATOR:-} ]]; then
    alices=$token
    log_in "$LEDGER_OPERATOR" "${LEDGER_OPERATOR_PASSWORD:-}"
    operator=$token

    post admin/accounts "$operator" '{"name":"smoke","currency":"USD"}'
    # From an earlier run.
    [[ $status == 409 && $(field code) == account_exists ]] || must_be "house account" 201
    payment='{"postings":[{"from":"user:'$alice'","to":"house:smoke","currency":"USD","amount":"0.50"}]}'
    post transactions "$operator" "$payment"
    must_be "payment to a house account" 201
    grep -q '"amount":"0.50","balanceAfter"' "$body" || fail "payment to a house account" "an entry of 0.50 expected, got $(<"$body")"
    payment=$(field id)
    balance_must_be "$alices" 49.00
    post "transactions/$payment/reversal" "$operator" '{}'
    must_be "reversal of the payment" 201
    pass "house account"

    request GET /api/v1/accounts -H "Authorization: Bearer $alices"
    must_be accounts 200
    # Euros may be there too.
    account=$(grep -o '"id":"[^"]*","kind":"user","ownerId":"[^"]*","name":"main","currency":"USD"' "$body" | cut -d'"' -f4)
    request PUT "/api/v1/admin/accounts/$account/limit" -H "Authorization: Bearer $operator" -H 'Content-Type: application/json' -d '{"creditLimit":"10.00"}'
    must_be "credit limit" 200
    post withdrawals "$alices" '{"currency":"USD","amount":"59.51"}'
    code_must_be "withdraw beyond the credit limit" 422 insufficient_funds
    post withdrawals "$alices" '{"currency":"USD","amount":"59.50"}'
    must_be "withdraw down to the credit limit" 201
    balance_must_be "$alices" -10.00
    pass "credit limit"

    request GET /api/v1/admin/periods -H "Authorization: Bearer $operator"
    must_be periods 200
    grep -q '"closedUntil":' "$body" || fail periods "closedUntil expected, got $(<"$body")"
    pass "periods"
else
    skip "house account, credit limit, periods: LEDGER_OPERATOR is not set"
fi
