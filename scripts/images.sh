#!/usr/bin/env bash
# Builds the images of API, worker and tool with the .NET SDK alone: no Dockerfile. Prints their names.
#
#   scripts/images.sh                       into the local engine (Docker or Podman), for this machine's architecture
#   scripts/images.sh --output DIRECTORY    as tarballs api.tar.gz, worker.tar.gz and cli.tar.gz: no engine needed
#   scripts/images.sh --push REGISTRY       into a registry (ghcr.io), for x64 and arm64; log in before with `docker login`
#
#   --tag TAG        the images' tag, and the version they report where it is one (the version in Directory.Build.props)
#   --prefix NAME    what the names begin with (ledger): NAME/api, NAME/worker, NAME/cli
#   --base IMAGE     another base image than Directory.Build.targets', from a registry that can be reached
#   --all            both architectures for --output too, as one OCI image index
#
# Without an engine the first form writes tarballs to artifacts/images.
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
    echo "images: no container engine answers: writing tarballs to $output" >&2
fi

tag=${tag:-$(sed -n 's/.*<Version>\(.*\)<\/Version>.*/\1/p' "$root/Directory.Build.props")}
properties=("-p:ContainerImageTag=$tag" "-p:ImagePrefix=$prefix")
if [[ $tag =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]]; then properties+=("-p:Version=$tag"); fi
if [[ -n $base ]]; then properties+=("-p:ContainerBaseImage=$base"); fi
if [[ -n $registry ]]; then properties+=("-p:ContainerRegistry=$registry"); fi
# Where the source is; on GitHub, what ties the package to its repository.
if [[ -n ${GITHUB_REPOSITORY:-} ]]; then properties+=("-p:ImageSource=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"); fi

# An engine takes the image of one architecture, unless it is set up for more.
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
        echo "images: $name was not built, see above." >&2
        exit 1
    fi
    echo "${registry:+$registry/}$prefix/$name:$tag${output:+  $output/$name.tar.gz}"
done
