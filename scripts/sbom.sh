#!/usr/bin/env bash
# Writes the images' bill of materials, every NuGet package of API, worker and tool, as CycloneDX 1.6.
# Needs jq and the .NET SDK.
#
#   scripts/sbom.sh FILE
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=${1:?the file to write, for example artifacts/ledger.cdx.json}

mkdir -p "$(dirname "$file")"
version=$(sed -n 's/.*<Version>\(.*\)<\/Version>.*/\1/p' "$root/Directory.Build.props")
for project in Api Worker Cli; do
    dotnet restore "$root/Ledger.$project" --verbosity quiet >&2
    dotnet list "$root/Ledger.$project" package --include-transitive --format json
done | jq --slurp --arg version "$version" --arg now "$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
    {
        bomFormat: "CycloneDX",
        specVersion: "1.6",
        version: 1,
        metadata: {
            timestamp: $now,
            component: { type: "application", name: "ledger", version: $version, licenses: [{ license: { id: "MIT" } }] }
        },
        components: (
            [.[].projects[].frameworks[]? | (.topLevelPackages // [])[], (.transitivePackages // [])[]]
            | unique_by(.id, .resolvedVersion)
            | map({
                type: "library",
                "bom-ref": "pkg:nuget/\(.id)@\(.resolvedVersion)",
                name: .id,
                version: .resolvedVersion,
                purl: "pkg:nuget/\(.id)@\(.resolvedVersion)"
            })
        )
    }
    | if (.components | length) == 0 then error("dotnet list found no package") else . end' >"$file"
echo "$file: $(jq '.components | length' "$file") packages"
