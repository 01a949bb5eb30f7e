#!/usr/bin/env bash
# Tests Kubernetes end to end on a kind cluster: images, secret, manifests, smoke test, a rolling update under load without a
# failed request, autoscaling of API and worker, verification. Deletes the cluster at the end.
# Needs Docker, kind 0.27 or later (Kubernetes 1.30 or later), kubectl and the .NET SDK.
#
#   scripts/e2e-kind.sh [--keep]     --keep leaves the cluster ledger-e2e running
#
# LEDGER_LOGS: a directory for the pods' logs and the cluster's events if a step fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

keep=false
[[ ${1:-} != --keep ]] || keep=true
cluster=ledger-e2e
metrics_server=https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.8.0/components.yaml
address=http://127.0.0.1:30080

fail() {
    echo "e2e-kind: $*" >&2
    exit 1
}
for program in docker kind kubectl dotnet; do
    command -v "$program" >/dev/null || fail "needs $program."
done

work=$(mktemp -d)
# A separate configuration leaves the user's clusters and current context alone.
export KUBECONFIG=$work/kubeconfig
kube() { kubectl --namespace ledger "$@"; }

finish() {
    local status=$? pod
    trap - EXIT
    if ((status != 0)) && [[ -s $KUBECONFIG ]]; then
        kube get pods,hpa,jobs --output wide >&2 || true
        if [[ -n ${LEDGER_LOGS:-} ]]; then
            mkdir -p "$LEDGER_LOGS"
            kube get events --sort-by .lastTimestamp >"$LEDGER_LOGS/events.txt" 2>&1 || true
            kube describe pods,hpa >"$LEDGER_LOGS/describe.txt" 2>&1 || true
            for pod in $(kube get pods --output name); do
                kube logs "$pod" --all-containers --timestamps >"$LEDGER_LOGS/${pod#pod/}.log" 2>&1 || true
            done
        fi
    fi
    if [[ $keep == false ]]; then kind delete cluster --name "$cluster" >&2 || true; fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

echo "e2e-kind: cluster"
kind create cluster --name "$cluster" --wait 3m --config - <<'CLUSTER'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      # The node port of the minikube overlay.
      - { containerPort: 30080, hostPort: 30080, listenAddress: 127.0.0.1 }
CLUSTER
kubectl apply --filename "$metrics_server"
# kind's kubelets have self-signed certificates.
kubectl --namespace kube-system patch deployment metrics-server --type json \
    --patch '[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--kubelet-insecure-tls"}]'

echo "e2e-kind: images"
"$root/scripts/images.sh" | tee "$work/images"
while read -r image _; do kind load docker-image --name "$cluster" "$image"; done <"$work/images"

echo "e2e-kind: manifests"
"$root/deploy/create-secret.sh"
kubectl apply --kustomize "$root/deploy/overlays/minikube"
kube wait --for condition=Complete job/migrations --timeout 8m
kube rollout status deployment/api --timeout 5m
kube rollout status deployment/worker --timeout 5m

echo "e2e-kind: smoke test"
"$root/scripts/smoke.sh" "$address" --wait 60

dotnet build "$root/Ledger.Cli" --configuration Release --nologo --verbosity quiet -nodeReuse:false -p:UseSharedCompilation=false
ledger() { dotnet "$root/Ledger.Cli/bin/Release/net10.0/ledger.dll" "$@"; }

echo "e2e-kind: rolling update under load"
ledger load --url "$address" --rate 50 --duration 90s >"$work/load.log" 2>&1 &
load=$!
kube rollout restart deployment/api deployment/worker
kube rollout status deployment/api --timeout 3m
kube rollout status deployment/worker --timeout 3m
wait "$load" || { cat "$work/load.log" >&2; fail "requests failed during the rolling update, see above."; }
tail -5 "$work/load.log"

echo "e2e-kind: autoscaling"
kubectl --namespace kube-system rollout status deployment/metrics-server --timeout 3m
ledger bench --url "$address" --accounts 20 --connections 64 --duration 4m >"$work/bench.log" 2>&1 &
bench=$!
for deployment in api worker; do
    for ((second = 0; ; second += 5)); do
        replicas=$(kube get hpa "$deployment" --output jsonpath='{.status.currentReplicas}')
        if ((${replicas:-0} > 1)); then break; fi
        ((second < 240)) || fail "the autoscaler of $deployment did not add a pod under load."
        sleep 5
    done
    echo "$deployment: $replicas pods"
done
kill -TERM "$bench" 2>/dev/null || true
wait "$bench" || true

echo "e2e-kind: verification"
"$root/deploy/ledger.sh" verify
echo "e2e-kind: passed"
