#!/usr/bin/env bash
# Prints what CHANGELOG.md says of one version, without its heading. Exit code 1 if it says nothing.
#
#   scripts/changelog.sh 1.2.3
set -euo pipefail
version=${1:?which version, such as 1.2.3}
notes=$(awk -v heading="## [$version]" '
    index($0, "## ") == 1 || /^\[[^]]*\]: / { inside = index($0, heading) == 1; next }
    inside' "$(dirname "${BASH_SOURCE[0]}")/../CHANGELOG.md")
if [[ -z ${notes//[[:space:]]/} ]]; then
    echo "changelog: CHANGELOG.md has nothing under '## [$version]'." >&2
    exit 1
fi
echo "$notes"
