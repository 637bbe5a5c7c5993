# Sourced by the scripts beside it: finds a Python and keeps a virtual environment that fits this checkout.
#
# An environment carries a stamp: the place it was made for, and a hash of the requirements, the extras and the
# interpreter. While the stamp fits, the environment is used as it is, without asking pip anything; when the hash
# does not, the packages are installed again; when the place does not, or it was interrupted halfway, it is made
# anew. A directory without a stamp is the user's own: it is used, and never removed. A lock beside it lets several
# terminals of a fresh checkout start at once. Nothing here writes to stdout, which belongs to the program that
# is started. Works with the bash 3.2 of macOS.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

say() { printf 'haydi: %s\n' "$*" >&2; }

# Prints the first interpreter that is new enough and can make environments. Each candidate is run, not only
# looked up: version managers put names on the PATH that answer with an error.
find_python() {
    local name incomplete=""
    for name in ${HAYDI_PYTHON:+"$HAYDI_PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1 || continue
        if "$name" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; then
            command -v "$name"
            return 0
        fi
        incomplete=$name
    done
    if [ -n "$incomplete" ]; then
        say "$incomplete cannot make virtual environments; install its venv module (Debian: python3-venv)."
    else
        say "no Python 3.11 or newer found (tried python3.13, python3.12, python3.11, python3, python)." \
            "Install one, or name it in HAYDI_PYTHON."
    fi
    return 1
}

# fingerprint PYTHON EXTRAS: what an environment made by PYTHON has to have been made from; and, where there is a
# compiler, whether the C extension is there.
fingerprint() {
    "$1" - "$root" "$2" <<'PYTHON'
import hashlib, os, pathlib, shutil, sys, sysconfig

root, extras = pathlib.Path(sys.argv[1]), sys.argv[2]
parts = [extras, sys.version]
symmetry = root / "haydi" / "symmetry"
sources = [root / "pyproject.toml", root / "setup.py", *sorted(symmetry.glob("csrc/*.[ch]"))]
parts += [path.read_text("utf-8") for path in sources]
compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
if shutil.which(compiler):
    parts.append(str((symmetry / ("_kernel" + sysconfig.get_config_var("EXT_SUFFIX"))).exists()))
print("root", root)
print("made from", hashlib.sha256("\0".join(parts).encode()).hexdigest())
PYTHON
}

# runs DIRECTORY: there is an interpreter in it, and it is new enough.
runs() {
    "$1/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null >/dev/null 2>&1
}

# fits DIRECTORY EXTRAS: it can be used as it is.
fits() {
    [ -f "$1/haydi-stamp" ] && runs "$1" \
        && [ "$(cat "$1/haydi-stamp")" = "$(fingerprint "$1/bin/python" "$2")" ]
}

# take_lock DIRECTORY: waits for other terminals; a lock whose owner is dead is broken.
take_lock() {
    local owner told="" host
    host=$(uname -n)
    [ -w "$root" ] || { say "cannot write to $root, where the environment belongs" && return 1; }
    until mkdir "$1" 2>/dev/null; do
        owner=$(cat "$1/owner" 2>/dev/null)
        if [ -n "$owner" ] && [ "${owner%% *}" = "$host" ] && ! kill -0 "${owner##* }" 2>/dev/null; then
            rm -rf "$1"
            continue
        fi
        [ -n "$told" ] || say "waiting for another terminal to finish the environment (remove '$1' if there is none)"
        told=yes
        sleep 0.5
    done
    printf '%s %s\n' "$host" "$$" >"$1/owner"
}

make_environment() {
    local directory=$1 extras=$2 python
    if [ -d "$directory" ] && [ ! -f "$directory/haydi-stamp" ]; then
        runs "$directory" || {
            say "$directory holds no working Python 3.11 or newer, and was not made here: remove it, then try again"
            return 1
        }
    elif ! runs "$directory" || ! grep -qxF "root $root" "$directory/haydi-stamp" \
        || ! grep -q "^made from" "$directory/haydi-stamp"; then
        python=$(find_python) || return 1
        say "making ${directory#"$root"/} with $python"
        rm -rf "$directory"
        mkdir "$directory" && printf 'root %s\nunfinished\n' "$root" >"$directory/haydi-stamp" || return 1
        "$python" -m venv "$directory" </dev/null >&2 || return 1
    fi
    say "installing haydi${extras:+[$extras]} into ${directory#"$root"/}"
    "$directory/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --editable "$root${extras:+[$extras]}" </dev/null >&2 || {
        say "the packages could not be installed (see above)"
        return 1
    }
    "$directory/bin/python" -c 'import haydi.symmetry._kernel' </dev/null 2>/dev/null \
        || say "without the C extension, which could not be built, the search for canonical forms takes some 20 times as long"
    fingerprint "$directory/bin/python" "$extras" >"$directory/haydi-stamp"
}

# ensure_environment DIRECTORY EXTRAS: afterwards DIRECTORY/bin/python runs haydi of this checkout.
ensure_environment() {
    local directory=$1 extras=$2 lock="$1.lock" code=0
    fits "$directory" "$extras" && return 0
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'rm -rf "$lock"' EXIT
    take_lock "$lock" || { trap - EXIT INT TERM && return 1; }
    fits "$directory" "$extras" || make_environment "$directory" "$extras" || code=1
    rm -rf "$lock"
    trap - EXIT INT TERM
    return $code
}
