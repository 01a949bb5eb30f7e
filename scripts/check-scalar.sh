#!/usr/bin/env bash
# Opens the Scalar page of a running API in headless Chromium and checks that it lists operations and requests nothing from
# other hosts. Without Chromium it prints so and exits with 0.
#
#   scripts/check-scalar.sh [http://localhost:8080]
set -euo pipefail

api=${1:-http://localhost:8080}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "check-scalar: skipped, Chromium is not installed."
    exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The sandbox needs user namespaces, which root and containers often lack. The page is Ledger's own.
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$work/profile" --log-net-log="$work/net.json" --enable-logging=stderr \
    --virtual-time-budget=30000 --dump-dom "$api/scalar" >"$work/page.html" 2>"$work/log" ||
    { cat "$work/log" >&2; echo "check-scalar: Chromium failed or took longer than 120 s, see above." >&2; exit 1; }

for text in /api/v1/identity/register /api/v1/identity/login; do
    grep -q "$text" "$work/page.html" || { echo "check-scalar: the page does not contain $text." >&2; exit 1; }
done
if grep 'Content Security Policy' "$work/log" >&2; then echo "check-scalar: the page violates its Content-Security-Policy, see above." >&2; exit 1; fi
# Chromium also sends requests of its own; those of the page have the page as initiator.
others=$(grep -F "\"initiator\":\"$api\"" "$work/net.json" | grep -oE '"url":"[a-z]+://[^"/?]+' | cut -d'"' -f4 | sort -u)
[[ $others == "$api" ]] || { echo "check-scalar: the page sent requests to:" $others >&2; exit 1; }
echo "check-scalar: the page loads and requests $api only."
