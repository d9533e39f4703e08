# Helpers of the other scripts: say, install what is missing, become root.
# Sourced by bash with `set -euo pipefail`, in the root of the repository.

tools="$PWD/target/tools"
export PATH="$tools/bin:$PATH:/usr/sbin:/sbin"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# as_root WHAT-FOR COMMAND...: runs the command as root, by sudo if need be.
as_root() {
    local why=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        echo "$why needs root: running it under sudo"
        sudo --preserve-env=CI,RUST_BACKTRACE,RUST_LOG,SEAWALL_BIN,SEAWALL_RELEASE_BIN,SOAK_SECONDS,LAB_RATE,CARGO_TARGET_DIR \
            env "PATH=$PATH" "$@"
    else
        fail "$why needs root, and there is no sudo: run it as root"
    fi
}

# need_commands COMMAND=PACKAGE...: installs the Debian packages of missing commands.
need_commands() {
    local missing=() pair
    for pair in "$@"; do
        has "${pair%%=*}" || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# need_compiler [COMMAND=PACKAGE...]: what Rust links with, and further compilers. Debian's gcc only recommends the C
# library's files, without which nothing links.
need_compiler() {
    need_commands cc=gcc "$@"
    need_files /usr/include/stdlib.h=libc6-dev
}

# need_files FILE=PACKAGE...: installs the Debian packages of missing files.
need_files() {
    local missing=() pair
    for pair in "$@"; do
        [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

install_packages() {
    has apt-get || fail "these are missing, and there is no apt-get to install them: $*"
    say "Installing with apt-get: $*"
    as_root "apt-get" apt-get "${apt_options[@]}" update -qq
    as_root "apt-get" env DEBIAN_FRONTEND=noninteractive \
        apt-get "${apt_options[@]}" install -y -qq --no-install-recommends "$@"
}

# Whether this machine's sources offer a package.
is_offered() {
    apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [0-9]'
}

# From here on apt works with Debian 12 and its security archive, whatever the sources of this machine are. Their lists
# are in target/tools/apt; nothing of the machine's settings is touched.
apt_options=()
use_bookworm_with_security() {
    local apt="$tools/apt" mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    printf 'deb [signed-by=%s] %s %s main\n' $keys "$mirror" bookworm $keys "$mirror-security" bookworm-security \
        >"$apt/sources.list"
    apt_options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
}

need_rust() {
    if ! has cargo && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    has cargo || fail "Rust is missing: install rustup (https://rustup.rs), then try again"
}

# unpack_debian FOLDER: a Debian 12 with the least there can be, and what a network is seen with.
# Unpacked once, copied each time. As root.
unpack_debian() {
    local base="$tools/debian-12.tar" folder
    if [ ! -f "$base" ]; then
        need_commands debootstrap=debootstrap
        need_files /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
        say "Unpacking a small Debian 12 with debootstrap (a few minutes)"
        folder=$(mktemp -d)
        debootstrap --variant=minbase --include=iptables,iproute2,procps bookworm "$folder/base" \
            "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$folder/log" 2>&1 ||
            { tail -n 20 "$folder/log" >&2; rm -rf "$folder"; fail "debootstrap failed"; }
        mkdir -p "$tools"
        tar -C "$folder/base" -cf "$base.new" .
        mv "$base.new" "$base"
        rm -rf "$folder"
    fi
    mkdir -p "$1"
    tar -C "$1" -xf "$base"
}

# Only the one program of Debian's package is unpacked: installed whole, it would start a server.
need_promtool() {
    has promtool && return 0
    say "Unpacking promtool from Debian's package prometheus into target/tools (nothing is installed)"
    local folder
    folder=$(mktemp -d)
    chmod 755 "$folder"
    # A new machine has no package lists yet.
    (cd "$folder" && { apt-get download -qq prometheus 2>/dev/null ||
        { as_root "apt-get update" apt-get update -qq && apt-get download -qq prometheus; }; } &&
        dpkg-deb -x prometheus_*.deb .) ||
        fail "can't get promtool: install the package prometheus"
    mkdir -p "$tools/bin"
    cp "$folder/usr/bin/promtool" "$tools/bin/"
    rm -rf "$folder"
}

# A peer of the bench, and the libraries it needs: unpacked, never installed, so that nothing starts
# it. Where it can't be had, the reason is in opensnitch_problem, and the bench reports it.
opensnitch_folder="$tools/opensnitch"
opensnitch_problem=
need_opensnitch() {
    [ ! -x "$opensnitch_folder/usr/bin/opensnitchd" ] || return 0
    say "Unpacking OpenSnitch from its Debian package into target/tools (nothing is installed)"
    local folder packages=(opensnitch libnetfilter-queue1 libnfnetlink0 libmnl0)
    if ! has apt-get || ! has dpkg-deb; then
        opensnitch_problem="it comes from a Debian package, and there is no apt-get or no dpkg-deb"
        return 0
    fi
    folder=$(mktemp -d)
    chmod 755 "$folder"
    # A new machine has no package lists yet.
    if (cd "$folder" && { apt-get download -qq "${packages[@]}" 2>/dev/null ||
        { as_root "apt-get update" apt-get update -qq && apt-get download -qq "${packages[@]}"; }; } &&
        for package in *.deb; do dpkg-deb -x "$package" unpacked || exit 1; done) 2>"$folder/problem"; then
        rm -rf "$opensnitch_folder"
        mkdir -p "$tools"
        mv "$folder/unpacked" "$opensnitch_folder"
    else
        opensnitch_problem="apt-get or dpkg-deb said: $(tail -n 3 "$folder/problem" | tr '\n' ' ')"
    fi
    rm -rf "$folder"
}

# Other programs that tests start beside Seawall, in namespaces of their own: unpacked with what they
# need and this machine lacks, never installed, so that no firewall starts here.
neighbours_folder="$PWD/target/tools/neighbours"
need_neighbours() {
    [ ! -e "$neighbours_folder/complete" ] || return 0
    local folder packages=(ufw firewalld dbus libfaketime)
    has apt-get && has dpkg-deb || fail "tests need ${packages[*]} from Debian's packages, and there is no apt-get or no dpkg-deb"
    say "Unpacking ${packages[*]} from Debian's packages into target/tools (nothing is installed)"
    folder=$(mktemp -d)
    chmod 755 "$folder"
    mkdir -p "$folder/partial" "$folder/unpacked/etc" "$folder/unpacked/usr/lib" "$folder/unpacked/var"
    local download=(apt-get install --download-only --reinstall -y -qq --no-install-recommends
        -o "Dir::Cache::archives=$folder" -o Debug::NoLocking=true -o APT::Sandbox::User=root "${packages[@]}")
    # A new machine has no package lists yet.
    "${download[@]}" >/dev/null 2>&1 ||
        { as_root "apt-get update" apt-get update -qq && "${download[@]}" >/dev/null; } ||
        fail "can't get the packages ${packages[*]}"
    local package place
    for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder/unpacked"; done
    # Older packages still name the places that are links into /usr now.
    for place in bin sbin lib; do
        [ ! -d "$folder/unpacked/$place" ] || { mkdir -p "$folder/unpacked/usr/$place" &&
            cp -a "$folder/unpacked/$place/." "$folder/unpacked/usr/$place/" && rm -r "$folder/unpacked/$place"; }
    done
    touch "$folder/unpacked/complete"
    rm -rf "$neighbours_folder"
    mkdir -p "$tools"
    mv "$folder/unpacked" "$neighbours_folder"
    rm -rf "$folder"
}

need_cargo_deny() {
    has cargo-deny && return 0
    say "Installing cargo-deny into target/tools (a few minutes)"
    cargo install --locked --debug --root "$tools" --target-dir "$tools/build" --version 0.20.2 cargo-deny
    rm -rf "$tools/build"
}

need_cargo_deb() {
    has cargo-deb && return 0
    say "Installing cargo-deb into target/tools (a few minutes)"
    cargo install --locked --debug --root "$tools" --target-dir "$tools/build" --version 3.8.0 \
        --no-default-features --features lzma cargo-deb
    rm -rf "$tools/build"
}

# in_lanes COUNT FUNCTION ARGUMENT...: calls the function with each of the arguments, so many at the same time, and prints
# what a call printed when it is over. Fails if one did.
in_lanes() {
    local count=$1 function=$2 folder argument running=0 status=0
    shift 2
    folder=$(mktemp -d)
    # What runs in the background doesn't hear of Ctrl-C otherwise.
    trap 'trap - INT TERM; kill 0' INT TERM
    for argument in "$@"; do
        if [ $running -ge "$count" ]; then
            wait -n || status=1
            running=$((running - 1))
        fi
        echo "begun: $argument"
        in_a_lane "$folder" "$function" "$argument" &
        running=$((running + 1))
    done
    while [ $running -gt 0 ]; do
        wait -n || status=1
        running=$((running - 1))
    done
    trap - INT TERM
    rm -rf "$folder"
    return $status
}

in_a_lane() {
    local folder=$1 function=$2 argument=$3 status=0
    "$function" "$argument" >"$folder/$argument" 2>&1 || status=$?
    (
        flock 9
        cat "$folder/$argument"
    ) 9>"$folder/.lock"
    return $status
}

# cargo_test_as_root ARGUMENT...: `cargo test`, whose test programs run as root, whoever builds them.
cargo_test_as_root() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    if [ "$(id -u)" = 0 ]; then
        cargo test "$@"
    else
        echo "tests with network namespaces need root: running them under sudo"
        has sudo || fail "there is no sudo: run this as root"
        cargo --config "target.$host.runner='$PWD/scripts/sudo-runner'" test "$@"
    fi
}
