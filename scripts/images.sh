#!/usr/bin/env bash
# Builds the images of API, worker and tool with the .NET SDK, without a Dockerfile, and prints their names.
#
#   scripts/images.sh                       into the local engine (Docker or Podman), for this machine's architecture
#   scripts/images.sh --output DIRECTORY    as tarballs api.tar.gz, worker.tar.gz and cli.tar.gz; needs no engine
#   scripts/images.sh --push REGISTRY       into a registry (ghcr.io), for x64 and arm64; run `docker login` first
#
#   --tag TAG        the images' tag; a version is also the version that they report (default: that of Directory.Build.props)
#   --prefix NAME    the first part of the names NAME/api, NAME/worker and NAME/cli (default: ledger)
#   --base IMAGE     a base image instead of that in Directory.Build.targets
#   --all            both architectures with --output too, as one OCI image index
#
# Without an engine, the first form writes tarballs to artifacts/images.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

output= registry= tag= prefix=ledger base= all=false
while (($# > 0)); do
    case $1 in
        --all) all=true; shift; continue ;;
        --output | --push | --tag | --prefix | --base) [[ -n ${2:-} ]] || usage ;;
        *) usage ;;
    esac
    case $1 in
        --output) output=$2 ;;
        --push) registry=$2 ;;
        --tag) tag=$2 ;;
        --prefix) prefix=$2 ;;
        --base) base=$2 ;;
    esac
    shift 2
done
[[ -z $output || -z $registry ]] || usage

if [[ -z $output$registry ]] && ! docker info >/dev/null 2>&1 && ! podman info >/dev/null 2>&1; then
    output=$root/artifacts/images
    echo "images: no container engine answers, so tarballs are written to $output" >&2
fi

tag=${tag:-$(sed -n 's/.*<Version>\(.*\)<\/Version>.*/\1/p' "$root/Directory.Build.props")}
properties=("-p:ContainerImageTag=$tag" "-p:ImagePrefix=$prefix")
if [[ $tag =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]]; then properties+=("-p:Version=$tag"); fi
if [[ -n $base ]]; then properties+=("-p:ContainerBaseImage=$base"); fi
if [[ -n $registry ]]; then properties+=("-p:ContainerRegistry=$registry"); fi
# GitHub links a package to the repository that this label names.
if [[ -n ${GITHUB_REPOSITORY:-} ]]; then properties+=("-p:ImageSource=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"); fi

# By default an engine stores images of one architecture only.
architecture=()
if [[ -z $registry && $all == false ]]; then
    case $(uname -m) in
        aarch64 | arm64) architecture=(--runtime linux-arm64 --no-self-contained) ;;
        *) architecture=(--runtime linux-x64 --no-self-contained) ;;
    esac
fi

if [[ -n $output ]]; then mkdir -p "$output"; fi
for project in Api Worker Cli; do
    name=${project,,}
    target=()
    if [[ -n $output ]]; then
        rm -f "$output/$name.tar.gz"
        target=("-p:ContainerArchiveOutputPath=$(cd "$output" && pwd)/$name.tar.gz")
    fi
    if ! log=$(dotnet publish "$root/Ledger.$project" -t:PublishContainer --configuration Release --nologo --verbosity quiet \
        -nodeReuse:false -p:UseSharedCompilation=false "${architecture[@]}" "${properties[@]}" "${target[@]}" 2>&1); then
        echo "$log" >&2
        echo "images: the build of $name failed, see above." >&2
        exit 1
    fi
    echo "${registry:+$registry/}$prefix/$name:$tag${output:+  $output/$name.tar.gz}"
done
