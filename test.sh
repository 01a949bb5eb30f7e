#!/usr/bin/env bash
# Builds Ledger and runs every test against a PostgreSQL and a RabbitMQ of its own: other ports and directories than
# run.sh's, deleted at the end. The last line says "N passed, N failed, N skipped"; the exit code is 0 if none failed.
#
#   ./test.sh                                     everything
#   ./test.sh -class 'Ledger.Tests.Posting.*'     arguments go to the test runner: a part (-method, -class, -namespace,
#                                                 -class-, …), '-list methods', …; '-?' lists them
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"

passed=0 failed=0 skipped=0
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0 && passed > 0)) || exit 1
    exit 0
}
# What cannot even begin has failed too, and says so in the same place.
give_up() {
    echo "test: $*" >&2
    failed=$((failed + 1))
    finish
}

scripts/dependencies.sh || give_up "something that the tests need is missing, see above."

# No build server is left behind.
if ! output=$(dotnet build Ledger.sln --configuration Release --nologo --verbosity quiet \
    -nodeReuse:false -p:UseSharedCompilation=false 2>&1); then
    echo "$output" >&2
    give_up "the build failed, see above."
fi

# Not a test of the code, but of what watches over it; counted as one. Whoever asks for a part of the tests gets that part.
if (($# == 0)); then
    if scripts/check-monitoring.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT
status=0
dotnet Ledger.Tests/bin/Release/net10.0/Ledger.Tests.dll -noColor -noLogo -xml "$results" "$@" || status=$?

count() { grep -oE "<assembly [^>]*" "$results" | grep -oE " $1=\"[0-9]+\"" | tr -dc '0-9'; }
if [[ ! -s $results ]] || ! grep -q '<assembly ' "$results"; then
    ((status != 0)) || exit 0 # A list or the help: no test was asked for.
    give_up "the test runner ended with exit code $status before its end."
fi
if (($(count total) == 0)); then give_up "no test ran."; fi
passed=$((passed + $(count passed)))
failed=$((failed + $(count failed) + $(count errors)))
skipped=$((skipped + $(count skipped)))
if ((status != 0 && failed == 0)); then give_up "the test runner ended with exit code $status."; fi
finish
