#!/usr/bin/env bash
# Checks Prometheus' configuration, rules and rule tests, and Grafana's dashboards with their queries.
#
# Ledger.Tests/Monitoring/MetricsTests.cs checks against running services that the series exist.
set -euo pipefail
cd "$(dirname "$0")/.."

rules=deploy/prometheus/ledger.rules.yml
dashboards=(deploy/grafana/dashboards/*.json)

fail() {
    echo "check-monitoring: $*" >&2
    exit 1
}

# Debian's package prometheus has promtool. Its service must not start, now or at the next boot.
need() {
    local program=$1 package=$2
    command -v "$program" >/dev/null && return
    ((EUID == 0)) && command -v apt-get >/dev/null || fail "needs $program: install the package $package."
    echo "check-monitoring: installing $package (no service is started)" >&2
    (
        policy=/usr/sbin/policy-rc.d
        if [[ ! -e $policy ]]; then
            trap 'rm -f "$policy"' EXIT
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        apt-get update -q || true
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package"
        if [[ $package == prometheus ]] && command -v systemctl; then systemctl disable prometheus || true; fi
    ) >&2 || true
    command -v "$program" >/dev/null || fail "cannot install the package $package."
}

# The dashboards' queries, with a value for Grafana's variable.
queries() { jq -r '.panels[].targets[]?.expr | gsub("\\$__rate_interval"; "5m")' "${dashboards[@]}"; }

need jq jq

need promtool prometheus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$1 $2 $3 failed, see above."; }; }

run promtool check config deploy/prometheus/prometheus*.yml
run promtool check rules "$rules"
run promtool test rules deploy/prometheus/ledger.rules.test.yml

# Each alert has a test and a section in the documentation.
for alert in $(sed -n 's/^ *- alert: //p' "$rules"); do
    grep -q "alertname: $alert\$" deploy/prometheus/ledger.rules.test.yml || fail "$alert has no test."
    grep -q "^### $alert\$" docs/observability.md || fail "$alert is not in docs/observability.md."
done

for dashboard in "${dashboards[@]}"; do
    jq -e '
    ([.panels[].id] | length == (unique | length))
    and all(.panels[] | select(.type != "row");
        .title != "" and (.targets | length > 0) and all(.targets[]; .expr != "" and .datasource.uid == "${datasource}"))
' "$dashboard" >/dev/null || fail "$dashboard: panels need unique ids, titles, and targets that use the variable datasource."
done
[[ $(jq -r .uid "${dashboards[@]}" | sort | uniq -d) == '' ]] || fail "two dashboards have the same uid."

# promtool cannot check a single query, so the queries become recording rules.
queries | jq -Rn '{ groups: [{ name: "dashboard", rules: [inputs | { record: "dashboard:query", expr: ., labels: { query: @base64 } }] }] }' \
    >"$work/dashboard.rules.yml"
run promtool check rules "$work/dashboard.rules.yml"

echo "check-monitoring: $(grep -c '^ *- alert: ' "$rules") alerts, $(queries | wc -l) dashboard queries, no fault found"
