#!/bin/sh
# Inside the Prometheus container that the AppHost starts: writes the targets' addresses where prometheus.local.yml
# looks for them. The alerts know the services by their job.
set -eu

cat >/prometheus/targets.json <<TARGETS
[
  { "labels": { "job": "api" }, "targets": ["$API_METRICS"] },
  { "labels": { "job": "worker" }, "targets": ["$WORKER_METRICS"] },
  { "labels": { "job": "messaging" }, "targets": ["$MESSAGING_METRICS"] }
]
TARGETS

exec /bin/prometheus --config.file=/etc/prometheus/prometheus.local.yml --storage.tsdb.path=/prometheus
