#!/usr/bin/env bash
# Creates the Secret of aspirate-output, the minikube overlay and the Helm chart, with random passwords. An existing Secret stays
# as it is, because the servers store the passwords in their volumes. docs/operations.md says how to rotate them.
#
#   deploy/create-secret.sh                     in namespace ledger of kubectl's current context
#   deploy/create-secret.sh --namespace NAME    in another namespace
#   deploy/create-secret.sh --print             prints the manifest and changes no cluster
set -euo pipefail

usage() {
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

namespace=ledger print=false
while (($# > 0)); do
    case $1 in
        --namespace) [[ -n ${2:-} ]] || usage; namespace=$2; shift 2 ;;
        --print) print=true; shift ;;
        *) usage ;;
    esac
done

# Letters and digits only, because RabbitMQ's password is part of a URI.
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

manifest() {
    local postgres messaging
    postgres=$(password)
    messaging=$(password)
    cat <<MANIFEST
apiVersion: v1
kind: Secret
metadata:
  name: ledger-secrets
  namespace: $namespace
type: Opaque
stringData:
  POSTGRES_PASSWORD: $postgres
  RABBITMQ_DEFAULT_PASS: $messaging
  ConnectionStrings__ledgerdb: Host=postgres;Port=5432;Database=ledgerdb;Username=postgres;Password=$postgres;Maximum Pool Size=16
  ConnectionStrings__messaging: amqp://guest:$messaging@messaging.$namespace.svc:5672
  # For KEDA, which runs in another namespace and therefore needs the qualified name.
  RABBITMQ_MANAGEMENT_URL: http://guest:$messaging@messaging.$namespace.svc:15672/
MANIFEST
}

if [[ $print == true ]]; then
    manifest
    exit 0
fi

command -v kubectl >/dev/null || { echo "create-secret: kubectl is missing." >&2; exit 1; }
kubectl get namespace "$namespace" >/dev/null 2>&1 || kubectl create --save-config namespace "$namespace"
if kubectl --namespace "$namespace" get secret ledger-secrets >/dev/null 2>&1; then
    echo "create-secret: namespace $namespace already has the secret ledger-secrets, which was not changed."
    exit 0
fi
manifest | kubectl create -f -
