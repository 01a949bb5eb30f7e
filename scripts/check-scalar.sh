#!/usr/bin/env bash
# Opens a running API's explorer in a real browser and checks that it shows the operations and asks no other host for
# anything. Skipped (exit 0, and says so) where there is no Chromium.
#
#   scripts/check-scalar.sh [http://localhost:8080]
set -euo pipefail

api=${1:-http://localhost:8080}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "check-scalar: skipped, there is no Chromium here."
    exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The sandbox needs user namespaces, which root and containers often have not; the page is our own.
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$work/profile" --log-net-log="$work/net.json" --enable-logging=stderr \
    --virtual-time-budget=30000 --dump-dom "$api/scalar" >"$work/page.html" 2>"$work/log" ||
    { cat "$work/log" >&2; echo "check-scalar: the browser did not come to an end." >&2; exit 1; }

for text in /api/v1/identity/register /api/v1/identity/login; do
    grep -q "$text" "$work/page.html" || { echo "check-scalar: '$text' is not on the page." >&2; exit 1; }
done
if grep 'Content Security Policy' "$work/log" >&2; then echo "check-scalar: the page wanted more than its policy allows." >&2; exit 1; fi
# The browser asks its maker for this and that as well; what the page asks for has the page as its initiator.
others=$(grep -F "\"initiator\":\"$api\"" "$work/net.json" | grep -oE '"url":"[a-z]+://[^"/?]+' | cut -d'"' -f4 | sort -u)
[[ $others == "$api" ]] || { echo "check-scalar: the page asked these hosts:" $others >&2; exit 1; }
echo "check-scalar: the page is there, and asked $api alone."
