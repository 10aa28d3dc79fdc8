#!/bin/sh
# Makes, in a folder, what tests of the image need in place of Docker's registry and the package index: `base`, a root with
# Debian and Python as the image is built from, and `wheels`, the packages of the server's lock.
#     base.sh PYTHON FOLDER
set -eu
python=$1 folder=$2
# shellcheck disable=SC2016  # apt's variable, not the shell's
mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Component: main' 'Created-By: Packages' | grep -m 1 '/debian/*$') || {
    echo "$0: apt has no mirror of Debian in its sources, from which bookworm could be taken" >&2
    exit 1
}

rm -rf --one-file-system "$folder"
mkdir -p "$folder/wheels"
"$python" -m pip --disable-pip-version-check -qq download --no-deps --require-hashes --only-binary :all: \
    --python-version 3.11 --implementation cp --dest "$folder/wheels" --requirement requirements-server.lock &

# shellcheck disable=SC2016  # the inner shell's variables
made='
    set -eu
    debootstrap --variant=minbase --include=python3,python3-venv,python-is-python3 bookworm "$1" "$2"
    # As in the image, pip stands below /usr/local, and may be taken away.
    chroot "$1" sh -euc "
        for pip in /usr/share/python-wheels/pip-*.whl; do
            python \$pip/pip install --root-user-action ignore --break-system-packages \$pip
        done
        rm -rf /usr/share/python-wheels /var/lib/apt/lists /var/cache/apt
    "
'
# Mounts of its own: none is left behind, whatever happens.
DPKG_FORCE=unsafe-io unshare --mount sh -c "$made" sh "$(realpath "$folder")/base" "$mirror" >"$folder/log" 2>&1 || {
    cat "$folder/log"
    exit 1
}
wait $!
