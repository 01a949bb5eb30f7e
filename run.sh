#!/usr/bin/env bash
# Starts Ledger on this machine: PostgreSQL, RabbitMQ, migrations, API and worker. ./run.sh --help lists the options.
#
#   --host aspire    as containers and processes of the Aspire AppHost: needs a container engine
#   --host local     as plain processes of Ledger.LocalHost: needs none
#
# Without --host, aspire where both are at hand and no option of Ledger.LocalHost's is given; a line says which, and why.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    echo "ledger: $*" >&2
    exit 1
}

host='' is_help=false is_monitored=false arguments=()
# The first of them that the AppHost would not know.
local_option=''
while (($# > 0)); do
    case $1 in
        --host | --host=*)
            if [[ $1 == --host ]]; then value=${2-}; else value=${1#--host=}; fi
            [[ $value == aspire || $value == local ]] || fail "--host takes aspire or local, not '$value'."
            host=$value
            if [[ $1 == --host ]]; then shift; fi
            ;;
        --help | -h | '-?' | --version) is_help=true && arguments+=("$1") ;;
        --monitoring) is_monitored=true && arguments+=("$1") ;;
        *) local_option=${local_option:-$1} && arguments+=("$1") ;;
    esac
    shift
done

# Prints the container engine that answers: Aspire uses docker unless it is told otherwise.
container_engine() {
    local engine
    for engine in ${ASPIRE_CONTAINER_RUNTIME:-${DOTNET_ASPIRE_CONTAINER_RUNTIME:-docker podman}}; do
        if timeout 10 "$engine" info >/dev/null 2>&1; then
            echo "$engine"
            return
        fi
    done
}

# Sets why_not: what keeps the AppHost from running here, or nothing.
find_out_why_not_aspire() {
    why_not=''
    engine=$(container_engine)
    if [[ -z $engine ]]; then why_not="no container engine answers"; fi
}

if [[ $is_help == true ]]; then
    host=local
    sed -n 's/^#   --host/  --host/p' "$root/run.sh"
else
    "$root/scripts/dependencies.sh" --sdk
    [[ $host != aspire || -z $local_option ]] || fail "--host aspire has no option $local_option, only --monitoring."
    [[ $host != local || $is_monitored == false ]] || fail "--host local has no option --monitoring: see docs/observability.md for Prometheus beside it."
    find_out_why_not_aspire
    case $host in
        aspire)
            [[ -z $why_not ]] || fail "--host aspire cannot be: $why_not."
            because="--host aspire"
            ;;
        local) because="--host local" ;;
        *)
            [[ $is_monitored == false || -z $why_not ]] || fail "--monitoring is the AppHost's, which cannot run: $why_not."
            if [[ -n $why_not ]]; then
                host=local because=$why_not
            elif [[ -n $local_option ]]; then
                host=local because="$local_option is an option of theirs"
            else
                host=aspire because="$engine answers"
            fi
            ;;
    esac
    if [[ $host == aspire ]]; then
        echo "ledger: starting the Aspire AppHost ($because)." >&2
    else
        echo "ledger: starting plain processes ($because)." >&2
        "$root/scripts/dependencies.sh"
    fi
fi

if [[ $host == aspire ]]; then
    export ASPIRE_CONTAINER_RUNTIME=$engine
    exec dotnet run --project "$root/Ledger.AppHost" -- ${arguments[@]+"${arguments[@]}"}
fi

# Brings Api, Worker and Cli with it. No build server is left behind.
if ! output=$(dotnet build "$root/Ledger.LocalHost" --configuration Release --nologo --verbosity quiet \
    -nodeReuse:false -p:UseSharedCompilation=false 2>&1); then
    echo "$output" >&2
    fail "the build failed, see above."
fi

# exec: signals reach the host itself.
exec dotnet "$root/Ledger.LocalHost/bin/Release/net10.0/Ledger.LocalHost.dll" ${arguments[@]+"${arguments[@]}"}
