#!/usr/bin/env bash
# Tests Compose end to end: builds images, starts the system with random passwords, waits until it is healthy, runs the smoke
# test, a load and the verifier, checks Prometheus' targets, stops it within the grace period, and deletes it with its data.
# Needs Docker with Compose 2.24 or later. Project name and ports differ from those of deploy/compose, so both can run.
#
#   scripts/e2e-compose.sh [--keep]     --keep leaves the system running
#
# LEDGER_LOGS: a directory for the containers' logs if a step fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

keep=false
[[ ${1:-} != --keep ]] || keep=true

work=$(mktemp -d)
compose() { docker compose --project-name ledger-e2e --env-file "$work/env" --file "$root/deploy/compose/compose.yaml" "$@"; }

finish() {
    local status=$?
    trap - EXIT
    if ((status != 0)); then
        compose ps --all >&2 || true
        if [[ -n ${LEDGER_LOGS:-} ]]; then
            mkdir -p "$LEDGER_LOGS"
            compose logs --no-color --timestamps >"$LEDGER_LOGS/compose.log" 2>&1 || true
        else
            compose logs --no-color --tail 40 >&2 || true
        fi
    fi
    if [[ $keep == false ]]; then compose down --volumes --timeout 40 >&2 || true; fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

secret() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
# The example's settings with other ports and passwords.
sed -e "s/^\(POSTGRES_PASSWORD\|RABBITMQ_PASSWORD\|GRAFANA_PASSWORD\)=.*/\1=@/" \
    -e 's/^LEDGER_PORT=.*/LEDGER_PORT=28080/; s/^POSTGRES_PORT=.*/POSTGRES_PORT=25432/; s/^RABBITMQ_PORT=.*/RABBITMQ_PORT=25673/' \
    -e 's/^RABBITMQ_MANAGEMENT_PORT=.*/RABBITMQ_MANAGEMENT_PORT=25680/; s/^PROMETHEUS_PORT=.*/PROMETHEUS_PORT=29090/; s/^GRAFANA_PORT=.*/GRAFANA_PORT=23000/' \
    -e 's/^LEDGER_VERSION=.*/LEDGER_VERSION=e2e/; s/^LEDGER_SELF_SERVICE_DEPOSITS=.*/LEDGER_SELF_SERVICE_DEPOSITS=true/' "$root/deploy/compose/.env.example" |
    while IFS= read -r line; do echo "${line/%=@/=$(secret)}"; done >"$work/env"

echo "e2e-compose: images"
"$root/scripts/images.sh" --tag e2e

echo "e2e-compose: start"
compose config --quiet
compose up --detach --wait --wait-timeout 300

# The tool runs in its container, as docs/operations.md describes.
ledger() { compose run --rm --no-deps --quiet-pull --env LEDGER_OPERATOR_PASSWORD migrations "$@"; }

echo "e2e-compose: smoke test"
export LEDGER_OPERATOR=operator@example.com LEDGER_OPERATOR_PASSWORD= LEDGER_API_KEY=
LEDGER_OPERATOR_PASSWORD=$(ledger operator create --email "$LEDGER_OPERATOR" | sed -n 's/^Password, shown only once: //p')
ledger service create --name e2e --scopes transactions
LEDGER_API_KEY=$(ledger service key create e2e | tail -n 1)
"$root/scripts/smoke.sh" http://127.0.0.1:28080 --wait 30

echo "e2e-compose: load"
ledger load --url http://api:8080 --rate 100 --duration 30s --operator "$LEDGER_OPERATOR"

echo "e2e-compose: verification"
ledger verify

echo "e2e-compose: Prometheus' targets"
targets=
for ((try = 0; try < 30; try++)); do
    targets=$(curl -sS http://127.0.0.1:29090/api/v1/targets?state=active | grep -o '"health":"[a-z]*"' | sort | uniq -c || true)
    # One API, two workers, RabbitMQ.
    if [[ $targets == *4*'"health":"up"'* && $targets != *down* && $targets != *unknown* ]]; then break; fi
    sleep 2
done
[[ $targets == *4*'"health":"up"'* && $targets != *down* && $targets != *unknown* ]] || { echo "e2e-compose: not every target of Prometheus is up: $targets" >&2; exit 1; }

echo "e2e-compose: stop"
compose stop
# 137 would mean that the grace period was too short and the engine killed the container.
for service in api worker; do
    codes=$(compose ps --all --format '{{.ExitCode}}' "$service" | sort -u | tr '\n' ' ')
    [[ $codes == "0 " ]] || { echo "e2e-compose: $service exited with $codes" >&2; exit 1; }
done
echo "e2e-compose: passed"
