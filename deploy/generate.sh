#!/usr/bin/env bash
# Makes aspirate-output: the AppHost's manifest, through Aspirate and the templates in deploy/aspirate. Running it twice
# changes nothing.
#
#   deploy/generate.sh                          publishes the manifest, then generates
#   deploy/generate.sh --manifest FILE          from a manifest that was published elsewhere
#   deploy/generate.sh --include-dashboard      with the Aspire dashboard, for development clusters
#
# Aspirate must be there: dotnet tool install --global aspirate --version 9.1.0
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    echo "generate: $*" >&2
    exit 1
}

manifest= dashboard=false
while (($# > 0)); do
    case $1 in
        --manifest) manifest=$(realpath "${2:?--manifest wants a file}"); shift 2 ;;
        --include-dashboard) dashboard=true; shift ;;
        *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done

# dotnet puts tools where not every shell looks.
PATH=$PATH:$HOME/.dotnet/tools
command -v dotnet >/dev/null || fail "the .NET SDK is missing: see global.json for its version."
command -v jq >/dev/null || fail "jq is missing."
command -v aspirate >/dev/null ||
    fail "Aspirate is missing: dotnet tool install --global aspirate --version 9.1.0 (it is on nuget.org)."

# Aspirate looks for its settings, resolves its paths and leaves its state in the current folder, and the projects' paths in
# a manifest are relative to it: the AppHost's for all of that.
cd "$root/Ledger.AppHost"
work=$(mktemp -d)
trap 'rm -rf "$work" aspirate-state.json' EXIT

if [[ -z $manifest ]]; then
    manifest=$work/published.json
    # Relative paths in a manifest start at its own folder: written here, moved afterwards.
    dotnet run --no-launch-profile -- --publisher manifest --output-path "$PWD/published.tmp" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; rm -f published.tmp; fail "the AppHost did not publish its manifest, see above."; }
    mv published.tmp "$manifest"
fi

# Aspirate does not know annotated.string and would leave {…-uri-encoded.value} as it stands. The templates take connection
# strings from a Secret and never show one, so the value as it is does as well. Projects are found from this folder.
jq '(.. | strings) |= gsub("-uri-encoded\\.value\\}"; ".value}")
    | .resources |= with_entries(select(.value.type != "annotated.string"))
    | (.resources[] | select(.type == "project.v0") | .path) |= ("../" + (split("/") | .[-2:] | join("/")))' \
    "$manifest" >"$work/manifest.json"

version=$(sed -n 's/.*<Version>\(.*\)<\/Version>.*/\1/p' "$root/Directory.Build.props")
# It was made for .NET 9, and runs on 10 if told to. It would first ask nuget.org for a newer version, and give up without
# an answer.
mkdir -p "$work/data/Aspirate"
touch "$work/data/Aspirate/updates-disabled"
DOTNET_ROLL_FORWARD=Major XDG_DATA_HOME=$work/data aspirate generate --non-interactive --disable-secrets --disable-state --skip-build \
    --project-path . --aspire-manifest "$work/manifest.json" --output-path "$work/output" --output-format kustomize \
    --namespace ledger --container-image-tag "$version" --image-pull-policy IfNotPresent --include-dashboard "$dashboard"

[[ -s $work/output/kustomization.yaml ]] || fail "Aspirate wrote no kustomization."
if command -v kubectl >/dev/null; then
    kubectl kustomize "$work/output" >/dev/null || fail "what Aspirate wrote does not render."
fi
rm -rf "$root/aspirate-output"
mv "$work/output" "$root/aspirate-output"
echo "generate: aspirate-output is written; git diff says what changed."
