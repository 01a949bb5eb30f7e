#!/usr/bin/env bash
# Runs the operator's tool once in the cluster, with the image, connection string and security settings of the worker's init
# container, and exits with the tool's exit code. Needs only kubectl.
#
#   deploy/ledger.sh [--namespace NAME] COMMAND …      deploy/ledger.sh verify
set -euo pipefail

namespace=ledger
if [[ ${1:-} == --namespace ]]; then
    namespace=${2:?--namespace needs a name}
    shift 2
fi
if (($# == 0)); then
    sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi

# kubectl prints objects and lists as JSON.
worker() { kubectl --namespace "$namespace" get deployment worker --output "jsonpath={.spec.template.spec$1}"; }
image=$(worker '.initContainers[0].image')
# Like the worker, the tool waits for the schema, and so for the network: where policies are enforced, they may reach a new pod
# late. The command migrate creates the schema and cannot wait for it.
init='[]'
[[ $1 == migrate ]] || init=$(worker .initContainers)
name=cli-$$-$RANDOM
overrides=$(
    cat <<JSON
{"spec": {
    "automountServiceAccountToken": false, "enableServiceLinks": false,
    "securityContext": $(worker .securityContext), "volumes": $(worker .volumes),
    "imagePullSecrets": $(secrets=$(worker .imagePullSecrets) && echo "${secrets:-[]}"),
    "initContainers": $init,
    "containers": [{"name": "$name",
        "env": $(worker '.initContainers[0].env'), "volumeMounts": $(worker '.initContainers[0].volumeMounts'),
        "resources": $(worker '.initContainers[0].resources'), "securityContext": $(worker '.initContainers[0].securityContext')}]}}
JSON
)
# The network policies select the tool by its label.
exec kubectl --namespace "$namespace" run "$name" --quiet --rm --attach --restart Never --image "$image" --labels app=cli \
    --override-type strategic --overrides "$overrides" -- "$@"
