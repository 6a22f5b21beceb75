//! The shell script that is every container's first process, and the lines it reads.

/// `kill -1` reaches every process of the container but its init and the sender, so the supervisor handles what it can. Its own
/// standard error is closed, because shells would report there that a command was killed.
/// The watcher is a grandchild, so that the step's shell has no child it did not start; ending `$$` ends the container.
/// `SHLVL`, `PWD` and `OLDPWD` would reveal that the step's shell is not the first one.
/// The report is written to both streams: each is complete only when its own report has arrived.
pub(crate) const SCRIPT: &str = r#"exec 4>&2 2>/dev/null
trap : HUP INT QUIT PIPE ALRM TERM USR1 USR2
IFS= read -r pipelens_mark || exit 125
pipelens_where=$PWD pipelens_began=
pipelens_traces() {
    for pipelens_file in /etc/hosts /etc/hostname /etc/resolv.conf /proc/sysvipc/msg /proc/sysvipc/sem /proc/sysvipc/shm; do
        [ -r "$pipelens_file" ] && while IFS= read -r pipelens_text; do echo "$pipelens_text"; done <"$pipelens_file"
    done
    echo /dev/* /dev/.[!.]* /dev/..?* /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?* /dev/mqueue/*
}
pipelens_kills() {
    pipelens_count=
    for pipelens_file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
        [ -r "$pipelens_file" ] && while read -r pipelens_name pipelens_text; do
            [ "$pipelens_name" = oom_kill ] && pipelens_count=$pipelens_text
        done <"$pipelens_file"
    done
}
while read -r pipelens_then; do
    [ "$pipelens_then$pipelens_began" = next ] && pipelens_began=$(pipelens_traces)
    pipelens_kills
    pipelens_killed=$pipelens_count
    (
        IFS= read -r pipelens_line || kill -KILL $$
        exec 3<&0 </dev/null 2>&4 4>&-
        ( ( while read -r _ <&3; do kill -TERM -1; done; kill -KILL $$ ) >/dev/null 2>&1 & )
        exec 3<&-
        eval "unset pipelens_line SHLVL PWD OLDPWD; $pipelens_line"
    )
    pipelens_code=$?
    pipelens_state=quiet pipelens_memory=enough pipelens_tries=0
    while kill -KILL -1; do
        pipelens_tries=$((pipelens_tries + 1))
        [ $pipelens_tries$pipelens_then != 1end ] && [ $pipelens_tries -lt 300000 ] || break
    done
    [ $pipelens_tries -lt 300000 ] || pipelens_state=busy
    cd -P "$pipelens_where" && [ $pipelens_state$pipelens_then = quietnext ] &&
        [ "$(pipelens_traces)" = "$pipelens_began" ] && pipelens_state=clean
    pipelens_kills
    [ "$pipelens_count" = "$pipelens_killed" ] || pipelens_memory=short
    pipelens_report="$pipelens_mark $pipelens_code $pipelens_state $pipelens_memory"
    printf '\000%s\n' "$pipelens_report"
    printf '\000%s\n' "$pipelens_report" >&4
    [ "$pipelens_then" = end ] && exit $pipelens_code
done"#;

/// What happens to a container after a command, as told to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Another command may follow, which must not be able to tell that this one ran before.
    Next,
    /// It waits until its files have been copied.
    Wait,
    /// It exits.
    End,
}

impl Then {
    pub(crate) fn line(self) -> &'static [u8] {
        match self {
            Self::Next => b"next\n",
            Self::Wait => b"wait\n",
            Self::End => b"end\n",
        }
    }
}

/// The line by which the watcher is told to send TERM.
pub(crate) const TERM_LINE: &[u8] = b"TERM\n";
