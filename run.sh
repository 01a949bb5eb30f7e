#!/usr/bin/env bash
# Starts Ledger on this machine: PostgreSQL, RabbitMQ, migrations, API and worker. ./run.sh --help lists the options.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Help needs neither server.
case " $* " in
    *" --help "* | *" -h "* | *" -? "* | *" --version "*) ;;
    *) "$root/scripts/dependencies.sh" ;;
esac

source "$root/scripts/packages.sh"
find_out_aspire_packages "$root"

# Brings Api, Worker and Cli with it. No build server is left behind.
if ! output=$(dotnet build "$root/Ledger.LocalHost" --configuration Release --nologo --verbosity quiet \
    -nodeReuse:false -p:UseSharedCompilation=false 2>&1); then
    echo "$output" >&2
    echo "ledger: the build failed, see above." >&2
    exit 1
fi

case " $* " in
    *" --dashboard "*)
        # The Aspire CLI has the dashboard inside; this package is for Linux on x64. Any other one in PATH will do as well.
        if ! command -v aspire >/dev/null; then
            cli=$("$root/scripts/npm-package.sh" @microsoft/aspire-cli-linux-x64 13.5.4 \
                sha512-8PWeRHM1+QwQB2wxDnfPsimi3EW01r04b4DjX0jIDE78SlfJabwVfYArW/48vDzYvPzKSRye6DIPVAsCFoXjBA== bin/aspire)
            export PATH="$cli/bin:$PATH" ASPIRE_HOME="$root/.tools/aspire-home"
        fi
        ;;
esac

# exec: signals reach the host itself.
exec dotnet "$root/Ledger.LocalHost/bin/Release/net10.0/Ledger.LocalHost.dll" "$@"
