#!/bin/sh
# Entry point of the AppHost's Prometheus container: writes the targets file of prometheus.local.yml and starts Prometheus.
# The alerts select the services by job.
set -eu

cat >/prometheus/targets.json <<TARGETS
[
  { "labels": { "job": "api" }, "targets": ["$API_METRICS"] },
  { "labels": { "job": "worker" }, "targets": ["$WORKER_METRICS"] },
  { "labels": { "job": "messaging" }, "targets": ["$MESSAGING_METRICS"] }
]
TARGETS

exec /bin/prometheus --config.file=/etc/prometheus/prometheus.local.yml --storage.tsdb.path=/prometheus
