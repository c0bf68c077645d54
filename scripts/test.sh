#!/usr/bin/env bash
# scripts/test.sh [ARGUMENTS]: all tests, against real PostgreSQL and the real
# Odoo. Arguments go to the test runner: cargo-nextest where it is installed,
# else cargo's own.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/prepare.sh test
# What the tests run is named here, once; without these they look for both.
HEDDLE_TEST_ODOO=$(scripts/prepare.sh odoo)
export HEDDLE_TEST_ODOO
export HEDDLE_TEST_BIN=${CARGO_TARGET_DIR:-$PWD/target}/debug/heddle
case $HEDDLE_TEST_BIN in /*) ;; *) HEDDLE_TEST_BIN=$PWD/$HEDDLE_TEST_BIN ;; esac

cargo build --workspace --bins --locked
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --locked --no-fail-fast "$@"
fi
exec cargo test --workspace --locked --no-fail-fast "$@" -- --show-output
