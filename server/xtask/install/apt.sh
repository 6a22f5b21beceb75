# Sourced, not run: `private_apt SUITE FOLDER TYPE` gives apt-get settings, package lists and a cache of its own in FOLDER, until the script ends.
# SUITE is a Debian suite, or `host`: then the packages are of the machine's own suite, and what the machine has installed already is left out.
# TYPE is `deb` or `deb-src`. The mirror is the one that the machine's own settings name.
private_apt() {
    apt=$2
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    trap 'rm -rf "$apt"' EXIT

    # The machine's own settings may run commands that clean its cache, so only those of connections are taken.
    apt-config dump | grep '^Acquire::' >"$apt/apt.conf" || true
    cat >>"$apt/apt.conf" <<END
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Debug::NoLocking "true";
END
    if [ "$1" != host ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v -e security -e updates | head -n 1)
        if [ -z "$mirror" ]; then
            echo "error: apt has no mirror of Debian: see /etc/apt/sources.list" >&2
            exit 1
        fi
        echo "$3 [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$apt/sources.list"
        : >"$apt/status"
        cat >>"$apt/apt.conf" <<END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::Etc::Preferences "-";
Dir::Etc::PreferencesParts "-";
Dir::State::status "$apt/status";
END
    fi
    export APT_CONFIG="$apt/apt.conf"
    loudly apt-get update -qq
}

# Shows what a command has printed only if it fails.
loudly() {
    "$@" >"$apt/log" 2>&1 || {
        cat "$apt/log" >&2
        exit 1
    }
}
