#!/usr/bin/env bash
# Builds Ledger and runs every test. The systems of the tests have ports and directories of their own, which are deleted at
# the end. The last line says "N passed, N failed, N skipped"; the exit code is 0 if no test failed.
#
#   ./test.sh                                     every test
#   ./test.sh -class 'Ledger.Tests.Posting.*'     other arguments go to the test runner: a part (-method, -class, -namespace,
#                                                 -class-, …), '-list methods', …; '-?' lists them
#   ./test.sh --postgres DIR [argument …]         with initdb and postgres in DIR, see scripts/postgres.sh
#   LEDGER_TEST_SERVERS=containers ./test.sh      PostgreSQL and RabbitMQ as containers, but for the tests that kill them
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"

passed=0 failed=0 skipped=0
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0 && passed > 0)) || exit 1
    exit 0
}
# A run that cannot begin counts as a failed test.
give_up() {
    echo "test: $*" >&2
    failed=$((failed + 1))
    finish
}

if [[ ${1:-} == --postgres ]]; then
    export LEDGER_POSTGRES=${2:-}
    [[ -x $LEDGER_POSTGRES/initdb ]] || give_up "--postgres takes the directory of initdb and postgres, not '$LEDGER_POSTGRES'."
    shift 2
fi

scripts/dependencies.sh || give_up "something that the tests need is missing, see above."

# No build server is left behind.
if ! output=$(dotnet build Ledger.sln --configuration Release --nologo --verbosity quiet \
    -nodeReuse:false -p:UseSharedCompilation=false 2>&1); then
    echo "$output" >&2
    give_up "the build failed, see above."
fi

# The alert rules' own tests count as one test of a whole run.
if (($# == 0)); then
    if scripts/check-monitoring.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT
status=0
dotnet Ledger.Tests/bin/Release/net10.0/Ledger.Tests.dll -noColor -noLogo -xml "$results" "$@" || status=$?

count() { grep -oE "<assembly [^>]*" "$results" | grep -oE " $1=\"[0-9]+\"" | tr -dc '0-9'; }
if [[ ! -s $results ]] || ! grep -q '<assembly ' "$results"; then
    ((status != 0)) || exit 0 # A list or the help was asked for.
    give_up "the test runner ended with exit code $status before its end."
fi
if (($(count total) == 0)); then give_up "no test ran."; fi
passed=$((passed + $(count passed)))
failed=$((failed + $(count failed) + $(count errors)))
skipped=$((skipped + $(count skipped)))
if ((status != 0 && failed == 0)); then give_up "the test runner ended with exit code $status."; fi
# Their messages stand where they failed, far above.
{ grep -oE '<test [^>]*result="Fail"' "$results" || true; } | sed -E 's/.* name="([^"]*)".*/failed: \1/'
finish
