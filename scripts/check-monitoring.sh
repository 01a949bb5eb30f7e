#!/usr/bin/env bash
# Checks what Prometheus and Grafana are given: configuration, rules, the rules' tests, the dashboards and each of their queries.
#
# That the series exist which they use is a test against running services: Ledger.Tests/Monitoring/MetricsTests.cs.
set -euo pipefail
cd "$(dirname "$0")/.."

rules=deploy/prometheus/ledger.rules.yml
dashboards=(deploy/grafana/dashboards/*.json)

fail() {
    echo "check-monitoring: $*" >&2
    exit 1
}

# promtool comes with Debian's prometheus, whose service must start neither now nor at the next boot.
need() {
    local program=$1 package=$2
    command -v "$program" >/dev/null && return
    ((EUID == 0)) && command -v apt-get >/dev/null || fail "needs $program: install the package '$package'."
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
    command -v "$program" >/dev/null || fail "could not install $package."
}

# The dashboards' queries, with Grafana's own variable filled in.
queries() { jq -r '.panels[].targets[]?.expr | gsub("\\$__rate_interval"; "5m")' "${dashboards[@]}"; }

need jq jq

need promtool prometheus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "'$1 $2 $3' found the above."; }; }

run promtool check config deploy/prometheus/prometheus*.yml
run promtool check rules "$rules"
run promtool test rules deploy/prometheus/ledger.rules.test.yml

# Each alert has a test and a chapter that says what to do.
for alert in $(sed -n 's/^ *- alert: //p' "$rules"); do
    grep -q "alertname: $alert\$" deploy/prometheus/ledger.rules.test.yml || fail "$alert has no test."
    grep -q "^### $alert\$" docs/observability.md || fail "$alert is not in docs/observability.md."
done

for dashboard in "${dashboards[@]}"; do
    jq -e '
    ([.panels[].id] | length == (unique | length))
    and all(.panels[] | select(.type != "row");
        .title != "" and (.targets | length > 0) and all(.targets[]; .expr != "" and .datasource.uid == "${datasource}"))
' "$dashboard" >/dev/null || fail "$dashboard: panels need ids of their own, titles, and targets on the data source variable."
done
[[ $(jq -r .uid "${dashboards[@]}" | sort | uniq -d) == '' ]] || fail "two dashboards have the same uid."

# promtool has no command for a lone query; as recording rules they are parsed like any other.
queries | jq -Rn '{ groups: [{ name: "dashboard", rules: [inputs | { record: "dashboard:query", expr: ., labels: { query: @base64 } }] }] }' \
    >"$work/dashboard.rules.yml"
run promtool check rules "$work/dashboard.rules.yml"

echo "check-monitoring: $(grep -c '^ *- alert: ' "$rules") alerts, $(queries | wc -l) dashboard queries: all right"
