#!/usr/bin/env bash
# Starts Ledger on this machine: PostgreSQL, RabbitMQ, migrations, API, worker and the Aspire dashboard.
# Installs what is missing (scripts/dependencies.sh), builds, and runs the Aspire AppHost. ./run.sh --help lists the options.
set -euo pipefail
export LEDGER_STARTED=$EPOCHREALTIME
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

step() { awk -v start="$LEDGER_STARTED" -v now="$EPOCHREALTIME" -v step="$*" 'BEGIN { printf "ledger: %5.1f s  %s\n", now - start, step }'; }

# Prints the container engine that answers: the one that Aspire would use.
container_engine() {
    local engine
    for engine in ${ASPIRE_CONTAINER_RUNTIME:-${DOTNET_ASPIRE_CONTAINER_RUNTIME:-docker podman}}; do
        if timeout 10 "$engine" info >/dev/null 2>&1; then
            echo "$engine"
            return
        fi
    done
}

# Native PostgreSQL and RabbitMQ are installed where they are going to be used.
case " $* " in
    *" --help "* | *" -h "* | *" --servers containers "* | *" --servers=containers "*) needs=--sdk ;;
    *" --servers native "* | *" --servers=native "*) needs= ;;
    *) if [[ -n $(container_engine) ]]; then needs=--sdk; else needs=; fi ;;
esac
"$root/scripts/dependencies.sh" $needs

# No build server is left behind. The AppHost brings API, worker and tool with it.
step "building" >&2
if ! output=$(dotnet build "$root/Ledger.AppHost" --configuration Release --nologo --verbosity quiet \
    -nodeReuse:false -p:UseSharedCompilation=false 2>&1); then
    echo "$output" >&2
    echo "ledger: the build failed, see above." >&2
    exit 1
fi

# exec: signals reach the AppHost itself, which a `dotnet run` in between would delay by seconds.
exec dotnet "$root/Ledger.AppHost/bin/Release/net10.0/Ledger.AppHost.dll" "$@"
