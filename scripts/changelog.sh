#!/usr/bin/env bash
# Prints the section of CHANGELOG.md about one version, without its heading. Exit code 1: there is none.
#
#   scripts/changelog.sh 1.2.3
set -euo pipefail
version=${1:?a version, for example 1.2.3}
notes=$(awk -v heading="## [$version]" '
    index($0, "## ") == 1 || /^\[[^]]*\]: / { inside = index($0, heading) == 1; next }
    inside' "$(dirname "${BASH_SOURCE[0]}")/../CHANGELOG.md")
if [[ -z ${notes//[[:space:]]/} ]]; then
    echo "changelog: CHANGELOG.md has no text under '## [$version]'." >&2
    exit 1
fi
echo "$notes"
