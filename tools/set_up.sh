#!/usr/bin/env bash
# Makes this clone ready: the virtual environment, what pip installs into it, and the system packages of GL and audio.
#
#   tools/set_up.sh demo     what the player needs (no torch)
#   tools/set_up.sh test     that, the offline tools, and what the tests use
#
# Does only what is missing. A stamp in the environment remembers what was installed; it is stale as soon as
# pyproject.toml, tools/constraints.txt, this file or the interpreter change. VENV=DIR puts the environment elsewhere,
# PYTHON=FILE chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

goal=${1:-demo}
venv=${VENV:-.venv}
case $goal in demo) what=. ;; test) what=.[studio,dev] ;; *) echo "set_up: '$goal' is neither demo nor test" >&2; exit 2 ;; esac

say() { printf 'set-up: %s\n' "$*"; }
stop() { printf 'set-up: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- system packages ----------------------------------------------------------------------------------------------

# Cached: ldconfig is not on the path of an ordinary user on Debian.
libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
has_library() { [[ $libraries == *"$1 "* ]]; }
installed() { has dpkg-query && [[ $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) == "install ok installed" ]]; }

missing_packages() {
    has_library libEGL.so.1 || echo libegl1
    has_library libGL.so.1 || echo libgl1
    ! has dpkg-query || installed libgl1-mesa-dri || echo libgl1-mesa-dri
    has_library libportaudio.so.2 || echo libportaudio2
    if [[ $goal == test ]]; then
        has_library libgthread-2.0.so.0 || echo libglib2.0-0  # these two for OpenCV
        has_library libxcb.so.1 || echo libxcb1
        has Xvfb || echo xvfb
        has pulseaudio || echo pulseaudio
        ! has dpkg-query || installed libasound2-plugins || echo libasound2-plugins
    fi
}

as_root=()
asked_sudo=no
may_install() {
    has apt-get || return 1
    [[ $(id -u) == 0 ]] && return 0
    has sudo || return 1
    as_root=(sudo -n)
    sudo -n true 2>/dev/null && return 0
    # It wants a password: it is asked for once, and only where somebody sits who can type it.
    [[ $asked_sudo == no && -t 0 ]] || return 1
    asked_sudo=yes
    say "system packages are missing; sudo may ask for your password to install them with apt-get"
    sudo -v || return 1
    as_root=(sudo)
}

lists_are_fresh=no
apt_install() {  # each as root; the package lists of a fresh system are empty, so they are fetched first, once
    if [[ $lists_are_fresh == no ]]; then
        "${as_root[@]}" apt-get update -qq || true
        lists_are_fresh=yes
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system_packages() {
    [[ $(uname -s) == Linux ]] || return 0  # elsewhere the wheels bring their libraries, and GL is part of the system
    local missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} == 0 ]] && return 0
    if may_install && say "installing ${missing[*]}" && apt_install "${missing[@]}"; then
        libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
        return 0
    fi
    say "these system packages are missing, and installing them needs root: apt-get install ${missing[*]}" >&2
    # Without sound the show still runs on the wall clock; without GL there is no picture.
    if ! has_library libEGL.so.1 || ! has_library libGL.so.1; then exit 1; fi
}

# --- Python -------------------------------------------------------------------------------------------------------

good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if has "$name" && good_python "$name"; then command -v "$name"; return; fi
    done
    return 1
}

# VENV may name any folder by mistake: only an environment that does not work, or nothing, gives way to a new one.
may_erase() { [[ ( ! -e $venv && ! -L $venv ) || -f $venv/pyvenv.cfg ]] || [[ -d $venv && -z $(ls -A -- "$venv") ]]; }

make_venv() {
    local python version
    if [[ -e $venv/bin/python ]] && good_python "$venv/bin/python"; then return; fi
    may_erase || stop "VENV=$venv is no virtual environment (it holds no pyvenv.cfg) and not empty, so it is left as it is;" \
        "name a folder that is not there yet, or an empty one."
    if ! python=$(find_python); then
        may_install && say "installing python3" && apt_install python3 python3-venv || true
        hash -r
        python=$(find_python) || stop "Python 3.11 or newer is needed; this machine has $(python3 -V 2>/dev/null || echo none)."
    fi
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        # Debian and Ubuntu keep venv apart from python3.
        version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        may_install && say "installing $version" && { apt_install "$version" || apt_install python3-venv; } ||
            stop "Python's venv is missing, and installing it needs root: apt-get install python3-venv"
    fi
    say "making $venv with $("$python" -V)"
    rm -rf -- "$venv"
    "$python" -m venv -- "$venv"
}

stamp_text() {
    { "$venv/bin/python" -c 'import sys; print(sys.version, sys.prefix)'; pwd
      cat pyproject.toml tools/constraints.txt tools/set_up.sh; } | cksum
}

install() {
    local done_for
    for done_for in "$goal" test; do  # an environment for the tests plays the demo as well
        if [[ -f $venv/.set_up_$done_for && $(cat "$venv/.set_up_$done_for") == "$(stamp_text)" ]]; then return; fi
    done
    say "installing $what into $venv (the first time, some hundred MB)"
    # As a variable, so that the versions hold for the build environment too; as an address, because pip splits the variable
    # at spaces, which a folder's name may have.
    PIP_CONSTRAINT=$("$venv/bin/python" -c 'import pathlib; print(pathlib.Path("tools/constraints.txt").resolve().as_uri())')
    PIP_CONSTRAINT=$PIP_CONSTRAINT PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$venv/bin/python" -m pip install --quiet --editable "$what" ||
        stop "pip could not install $what; its own words stand above. The same command again goes on from here."
    stamp_text > "$venv/.set_up_$goal.part"
    mv "$venv/.set_up_$goal.part" "$venv/.set_up_$goal"
}

# A browser is for the tests of HTML pages alone, and large; they say that they skip without one. Ubuntu has it only as a snap.
browser() {
    [[ $goal == test && $(uname -s) == Linux ]] || return 0
    has chromium || has chromium-browser || has google-chrome && return 0
    if may_install && say "installing chromium" && apt_install chromium 2>/dev/null; then return 0; fi
    say "no Chromium here: the tests of HTML pages will be skipped"
}

make_venv
system_packages
browser
install
