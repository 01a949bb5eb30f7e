#!/usr/bin/env bash
# Generates aspirate-output: publishes the AppHost's manifest and renders it with Aspirate and the templates in
# deploy/aspirate. A second run changes nothing.
#
#   deploy/generate.sh                          publishes the manifest, then generates
#   deploy/generate.sh --manifest FILE          uses a manifest that was published before
#   deploy/generate.sh --include-dashboard      adds the Aspire dashboard, for development clusters
#
# Needs Aspirate: dotnet tool install --global aspirate --version 9.1.0
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    echo "generate: $*" >&2
    exit 1
}

manifest= dashboard=false
while (($# > 0)); do
    case $1 in
        --manifest) manifest=$(realpath "${2:?--manifest needs a file}"); shift 2 ;;
        --include-dashboard) dashboard=true; shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done

# The directory of global tools is not in every PATH.
PATH=$PATH:$HOME/.dotnet/tools
command -v dotnet >/dev/null || fail "the .NET SDK is missing: see global.json for its version."
command -v jq >/dev/null || fail "jq is missing."
command -v aspirate >/dev/null || fail "Aspirate is missing: dotnet tool install --global aspirate --version 9.1.0"

# Aspirate reads aspirate.json, resolves project paths and writes its state in the current directory.
cd "$root/Ledger.AppHost"
work=$(mktemp -d)
trap 'rm -rf "$work" aspirate-state.json' EXIT

if [[ -z $manifest ]]; then
    manifest=$work/published.json
    # Aspire takes a name without .json for a directory.
    dotnet run --no-launch-profile --configuration Release -- --publisher manifest --output-path "$manifest" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; fail "the AppHost did not publish its manifest, see above."; }
fi

# Aspirate 9.1 leaves references to annotated.string resources ({…-uri-encoded.value}) unresolved. The templates take connection
# strings from a Secret, so the plain value does. Project paths become relative to the AppHost.
jq '(.. | strings) |= gsub("-uri-encoded\\.value\\}"; ".value}")
    | .resources |= with_entries(select(.value.type != "annotated.string"))
    | (.resources[] | select(.type == "project.v0") | .path) |= ("../" + (split("/") | .[-2:] | join("/")))' \
    "$manifest" >"$work/manifest.json"

version=$(sed -n 's/.*<Version>\(.*\)<\/Version>.*/\1/p' "$root/Directory.Build.props")
# Aspirate 9.1 targets .NET 9, so it needs roll-forward. The marker file disables its update check, which fails without a network.
mkdir -p "$work/data/Aspirate"
touch "$work/data/Aspirate/updates-disabled"
DOTNET_ROLL_FORWARD=Major XDG_DATA_HOME=$work/data aspirate generate --non-interactive --disable-secrets --disable-state --skip-build \
    --project-path . --aspire-manifest "$work/manifest.json" --output-path "$work/output" --output-format kustomize \
    --namespace ledger --container-image-tag "$version" --image-pull-policy IfNotPresent --include-dashboard "$dashboard"

[[ -s $work/output/kustomization.yaml ]] || fail "Aspirate wrote no kustomization.yaml."
if command -v kubectl >/dev/null; then
    kubectl kustomize "$work/output" >/dev/null || fail "kubectl kustomize does not render Aspirate's output, see above."
fi
rm -rf "$root/aspirate-output"
mv "$work/output" "$root/aspirate-output"
echo "generate: wrote aspirate-output; git diff shows the changes."
