#!/bin/sh
# setup.sh VENV: a virtual environment with Odoo 11 in it.
# Does nothing if VENV is already what these files make; else VENV is replaced
# as a whole, once its successor is complete. Needs uv, and a CPython 3.11
# (PYTHON, default /usr/bin/python3).
set -eu
umask 022   # tenants' Odoos run as other users
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: setup.sh VENV" >&2; exit 2; }
mkdir -p "$(dirname "$1")"
venv=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
python=${PYTHON:-/usr/bin/python3}

stamp=$({
    "$python" -c 'import sys; print(sys.version, sys.executable)'
    echo "$venv"   # it is written into the scripts
    cd "$here" && cat setup.sh prune.sh requirements.txt odoo11_compat.py odoo-bin
} | sha256sum)
present() { [ "$(cat "$venv/heddle-stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$venv/bin/python" ]; }
present && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "setup.sh: $python is not CPython 3.11; name one with PYTHON=" >&2; exit 1; }
command -v uv >/dev/null || { echo "setup.sh: uv is missing (pip install uv)" >&2; exit 1; }

exec 9>"$venv.lock"
flock 9
present && exit 0   # somebody else has made it meanwhile

new=$venv.new old=$venv.old
rm -rf "$new" "$old"
# relocatable: the scripts find their interpreter beside them, so the finished
# environment can be renamed
uv venv -q --relocatable --python "$python" "$new"
uv pip install -q --no-deps --only-binary :all: --python "$new/bin/python" -r "$here/requirements.txt"
sh "$here/prune.sh" "$new"
cp "$here/odoo11_compat.py" "$here/odoo-bin" "$new/bin/"
printf '#!/bin/sh\nexec cat\n' >"$new/bin/lessc"   # assets get built, unstyled
chmod 755 "$new/bin/odoo-bin" "$new/bin/lessc"
chmod 644 "$new/bin/odoo11_compat.py"
sed -i "1s|.*|#!$venv/bin/python|" "$new/bin/odoo-bin"
packages=$(cd "$new"/lib/python3*/site-packages && pwd)
"$new/bin/python" -W ignore -m compileall -q -j 0 -s "$new" -p "$venv" "$packages" "$new/bin/odoo11_compat.py" || {
    # some packages carry files for other Pythons; Odoo itself must compile
    "$new/bin/python" -W ignore -m compileall -q -s "$new" -p "$venv" "$packages/odoo"
}
echo "$stamp" >"$new/heddle-stamp"
if [ -e "$venv" ]; then mv "$venv" "$old"; fi
mv "$new" "$venv"
rm -rf "$old"
