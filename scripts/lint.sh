#!/usr/bin/env bash
# scripts/lint.sh: formatting, clippy, the project's own rules, cargo-deny.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/prepare.sh lint

step() {
    printf '== %s\n' "$*"
    "$@"
}

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
step cargo xtask tidy
version=$(sed -n 's/^deny_version=//p' scripts/prepare.sh)
PATH="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/heddle/tools/cargo-deny-$version/bin:$PATH"
# Advisories would need a database from outside; bans, licences and sources do not.
step cargo deny --log-level warn check bans licenses sources
