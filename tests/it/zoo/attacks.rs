//! The hostile projects. Each gets a plain project to spoil, and a folder outside of it that it may try to reach.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) build: fn(&Path, &Path),
}

macro_rules! attacks {
    ($($name:literal => |$project:ident, $outside:ident| $build:expr),* $(,)?) => {
        pub(super) const ATTACKS: &[Attack] = &[$(Attack {
            name: $name,
            build: |$project: &Path, $outside: &Path| {
                // Most need one of the two.
                let _ = (&$project, &$outside);
                $build;
            },
        }),*];
    };
}

attacks! {
    "nothing" => |project, outside| folder(project, "src"),
    // A file that is read: what it may be instead.
    "settings are /dev/zero" => |project, outside| link(project, ".pipelens.yaml", "/dev/zero"),
    "settings are a pipe" => |project, outside| pipe(project, ".pipelens.yaml"),
    "settings are outside" => |project, outside| link(project, ".pipelens.yaml", "../outside/secret.yml"),
    "settings are huge" => |project, outside| huge(project, ".pipelens.yaml"),
    "settings are a folder" => |project, outside| folder(project, ".pipelens.yaml"),
    "settings are brackets" => |project, outside| write(project, ".pipelens.yaml", &"[".repeat(60_000)),
    "settings are braces" => |project, outside| write(project, ".pipelens.yaml", &"{a: ".repeat(15_000)),
    "settings are aliases" => |project, outside| write(project, ".pipelens.yaml", &aliases()),
    "settings are another file of the project" => |project, outside| { write(project, "token", "canary-8f3b2c1d9e7a6054"); link(project, ".pipelens.yaml", "token") },
    "settings name files of everybody" => |project, outside| write(project, ".pipelens.yaml", "files: ['/**', '../**', '**/*']\nshellcheck: true\n"),
    "settings would widen what runs" => |project, outside| write(project, ".pipelens.yaml", r"runner: host
allowHostRunner: true
allowSecrets: [ZOO_TOKEN]
secretsFile: ../outside/secret
artifactsDir: ../outside
dockerHost: ssh://x
"),
    "ignore rules are /dev/zero" => |project, outside| link(project, ".gitignore", "/dev/zero"),
    "ignore rules are a pipe" => |project, outside| pipe(project, ".gitignore"),
    "ignore rules are outside" => |project, outside| link(project, ".gitignore", "../outside/secret"),
    "ignore rules are huge" => |project, outside| huge(project, ".gitignore"),
    "ignore rules are a folder" => |project, outside| folder(project, ".gitignore"),
    "ignore rules are wildcards" => |project, outside| write(project, ".gitignore", &"*a*b*c*d*e*\n".repeat(20_000)),
    "ignore rules are braces" => |project, outside| write(project, ".gitignore", &"{a,b,{c,d}}*[a-z]".repeat(2_000)),
    "ignore rules below are a pipe" => |project, outside| pipe(project, "src/.gitignore"),
    "ignore rules of ours are /dev/zero" => |project, outside| link(project, ".pipelensignore", "/dev/zero"),
    "ignore rules of ours are a pipe" => |project, outside| pipe(project, ".pipelensignore"),
    "ignore rules of ours are huge" => |project, outside| huge(project, ".pipelensignore"),
    "ignore rules of others are a pipe" => |project, outside| pipe(project, ".ignore"),
    "excluded is /dev/zero" => |project, outside| link(project, ".git/info/exclude", "/dev/zero"),
    "excluded is a pipe" => |project, outside| pipe(project, ".git/info/exclude"),
    "excluded is outside" => |project, outside| link(project, ".git/info/exclude", "../../../outside/secret"),
    "excluded is huge" => |project, outside| huge(project, ".git/info/exclude"),
    "rules of ShellCheck are /dev/zero" => |project, outside| link(project, ".shellcheckrc", "/dev/zero"),
    "rules of ShellCheck are a pipe" => |project, outside| pipe(project, ".shellcheckrc"),
    "rules of ShellCheck open files" => |project, outside| write(project, ".shellcheckrc", "external-sources=true source-path=/etc\n"),
    "rules of ShellCheck by another name are a pipe" => |project, outside| pipe(project, "shellcheckrc"),
    "the pipeline is /dev/zero" => |project, outside| link(project, "pipeline.yml", "/dev/zero"),
    "the pipeline is a pipe" => |project, outside| pipe(project, "pipeline.yml"),
    "the pipeline is outside" => |project, outside| link(project, "pipeline.yml", "../outside/secret.yml"),
    "the pipeline is a file of the system" => |project, outside| link(project, "pipeline.yml", "/etc/passwd"),
    "the pipeline is git's configuration" => |project, outside| { write(project, ".git/config", "token = canary-8f3b2c1d9e7a6054\n"); link(project, "pipeline.yml", ".git/config") },
    "the pipeline is huge" => |project, outside| huge(project, "pipeline.yml"),
    "the pipeline is brackets" => |project, outside| write(project, "pipeline.yml", &format!("steps: {}", "[".repeat(60_000))),
    "the pipeline is aliases" => |project, outside| write(project, "pipeline.yml", &format!("steps:\n{}", aliases())),
    "the pipeline is JSON brackets" => |project, outside| write(project, "pipeline.json", &format!("{{\"steps\": {}", "[".repeat(60_000))),
    "the pipeline speaks to the terminal" => |project, outside| write(project, "pipeline.yml", "steps:\n  - key: \"a\\e]52;c;Y2FuYXJ5\\a\\e[2J\"\n    label: \"\\u202e::set-env name=A::b\"\n    cmd: \"\\e[31m\"\n"),
    "the pipeline speaks Markdown" => |project, outside| write(project, "pipeline.yml", r"steps:
  - key: a
    label: '[x](command:workbench.action.terminal.new) <img src=file:///etc/passwd>'
    cmd: make
    image: 'a.b/c:1'
"),
    "paths lead outside" => |project, outside| { link(project, "up", ".."); write(project, "pipeline.yml", r"steps:
  - key: a
    cmd: make
    image: alpine:3.22
    workdir: /workspace/up/outside
    cache: {policy: on_change, paths: [up/outside/secret, '../outside/*', '/**', '/etc/*', 'up/**']}
") },
    "patterns are braces" => |project, outside| write(project, "pipeline.yml", &format!(r"steps:
  - key: a
    cmd: make
    image: alpine:3.22
    cache: {{policy: on_change, paths: ['{}']}}
", "{a,b}".repeat(30))),
    "the host's shell is asked for" => |project, outside| write(project, "pipeline.yml", r"steps:
  - key: a
    runner: host
    cmd: touch ran
"),
    "a mount of the machine is asked for" => |project, outside| write(project, "pipeline.yml", r"steps:
  - key: a
    cmd: make
    image: alpine:3.22
    runner_args: {privileged: true, mounts: ['/:/host']}
"),
    // Entries of the tree.
    "a pipe among the sources" => |project, outside| pipe(project, "src/pipe"),
    "a socket among the sources" => |project, outside| drop(std::os::unix::net::UnixListener::bind(project.join("src/socket")).unwrap()),
    "links to everywhere among the sources" => |project, outside| for (at, target) in ["/", "/dev/zero", "/etc/passwd", "..", "../outside", "loop-5"].iter().enumerate() { link(project, &format!("src/loop-{at}"), target) },
    "folders a hundred deep" => |project, outside| folder(project, &"deep/".repeat(100)),
    "five thousand files" => |project, outside| for at in 0..5_000 { fs::write(project.join(format!("src/{at}")), "").unwrap() },
    "names with escapes" => |project, outside| for name in ["a\nb", "\u{1b}[2J", "::set-env name=a::b", "\u{202e}lmy.x", "-rf", "$(touch ran)", "`id`"] { fs::write(project.join(name), "").unwrap() },
    "names that are no text" => |project, outside| fs::write(project.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff\xfe")), "").unwrap(),
    "an unreadable folder" => |project, outside| { folder(project, "closed"); fs::set_permissions(project.join("closed"), fs::Permissions::from_mode(0o000)).unwrap() },
    "another pipeline that is a pipe" => |project, outside| pipe(project, "other.pipeline.yml"),
    "a folder of pipelines that is outside" => |project, outside| link(project, ".hm", "../outside"),
    "an editor's settings" => |project, outside| { write(project, ".vscode/settings.json", "{\"pipelens.server.path\": \"./pipelens\", \"pipelens.runner\": \"host\", \"pipelens.allowHostRunner\": true}"); write(project, ".nvim.lua", "os.execute('touch ran')"); write(project, ".env", "PATH=.\nDOCKER_HOST=ssh://x\n") },
    "a project of every kind" => |project, outside| for name in ["Cargo.toml", "package.json", "pyproject.toml", "go.mod", "Makefile"] { pipe(project, name) },
    // Repositories.
    "git runs a monitor" => |project, outside| config(project, "[core]\n\tfsmonitor = ./git\n\thooksPath = .\n\tsshCommand = ./git\n\tpager = ./git\n\teditor = ./git\n\tgitProxy = ./git\n"),
    "git fetches what is missing" => |project, outside| { repository(project); config(project, "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\turl = ext::sh -c \"touch ran\"\n\tpromisor = true\n[protocol]\n\tallow = always\n[protocol \"ext\"]\n\tallow = always\n"); fs::remove_dir_all(project.join(".git/objects")).unwrap() },
    "git has a sparse index" => |project, outside| { repository(project); git(project, &["sparse-checkout", "init", "--cone", "--sparse-index"]); config(project, "[core]\n\trepositoryformatversion = 1\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n[index]\n\tsparse = true\n[extensions]\n\tpartialClone = origin\n[remote \"origin\"]\n\turl = ext::sh -c \"touch ran\"\n\tpromisor = true\n") },
    "git filters files" => |project, outside| { repository(project); write(project, ".gitattributes", "* filter=evil diff=evil merge=evil\n"); config(project, "[filter \"evil\"]\n\tclean = ./git\n\tsmudge = ./git\n\tprocess = ./git\n[diff \"evil\"]\n\tcommand = ./git\n\ttextconv = ./git\n[diff]\n\texternal = ./git\n") },
    "git has hooks" => |project, outside| { repository(project); for hook in ["post-index-change", "pre-commit", "fsmonitor-watchman", "reference-transaction"] { program(&project.join(".git/hooks"), hook) } },
    "git asks for credentials" => |project, outside| config(project, "[credential]\n\thelper = !./git\n[gpg]\n\tprogram = ./git\n[alias]\n\tls-files = !./git\n[uploadpack]\n\tpackObjectsHook = ./git\n"),
    "git includes what is outside" => |project, outside| config(project, "[include]\n\tpath = ../../outside/secret\n\tpath = /dev/zero\n[core]\n\tworktree = ../../outside\n\texcludesFile = ../outside/secret\n\tattributesFile = /dev/zero\n"),
    "git's configuration is a pipe" => |project, outside| pipe(project, ".git/config"),
    "git's head is a pipe" => |project, outside| pipe(project, ".git/HEAD"),
    "git's index is a pipe" => |project, outside| pipe(project, ".git/index"),
    "git's index is /dev/zero" => |project, outside| link(project, ".git/index", "/dev/zero"),
    "git's index is huge" => |project, outside| huge(project, ".git/index"),
    "git's index is garbage" => |project, outside| fs::write(project.join(".git/index"), [b"DIRC\0\0\0\x02\xff\xff\xff\xff".as_slice(), &[0xff; 5_000]].concat()).unwrap(),
    "git's index names files outside" => |project, outside| { link(project, "up", "../outside"); fs::write(project.join(".git/index"), index(&["../outside/secret", "/etc/passwd", "up/secret", ".git/config"])).unwrap(); write(project, ".gitignore", "*\n") },
    "git's index is split to outside" => |project, outside| { repository(project); git(project, &["update-index", "--split-index"]); for entry in fs::read_dir(project.join(".git")).unwrap().flatten() { if entry.file_name().to_string_lossy().starts_with("sharedindex") { fs::remove_file(entry.path()).unwrap(); symlink("/dev/zero", entry.path()).unwrap(); } } },
    "git is elsewhere" => |project, outside| { git(&outside.join("repository"), &["init", "-q"]); fs::remove_dir_all(project.join(".git")).unwrap(); write(project, ".git", "gitdir: ../outside/repository/.git\n") },
    "git is a work tree of elsewhere" => |project, outside| { folder(outside, "repository/.git/worktrees/x"); fs::remove_dir_all(project.join(".git")).unwrap(); write(project, ".git", "gitdir: ../outside/repository/.git/worktrees/x\n"); write(outside, "repository/.git/info/exclude", "canary\n") },
    "git is a link to outside" => |project, outside| { fs::remove_dir_all(project.join(".git")).unwrap(); link(project, ".git", "../outside/repository/.git") },
    "git is a pipe" => |project, outside| { fs::remove_dir_all(project.join(".git")).unwrap(); pipe(project, ".git") },
    "git is /dev/zero" => |project, outside| { fs::remove_dir_all(project.join(".git")).unwrap(); link(project, ".git", "/dev/zero") },
    "git shares objects with outside" => |project, outside| { repository(project); write(project, ".git/objects/info/alternates", "../../../outside/repository/.git/objects\n"); write(project, ".git/commondir", "../../outside/repository/.git\n") },
    "git has a submodule that fetches" => |project, outside| { repository(project); write(project, ".gitmodules", "[submodule \"a\"]\n\tpath = sub\n\turl = ext::sh -c 'touch ran'\n\tupdate = !./git\n"); write(project, "sub/.git", "gitdir: ../../outside/repository/.git\n"); write(project, "sub/file", "") },
    "a repository in a folder of the sources" => |project, outside| { folder(project, "src/.git/hooks"); write(project, "src/.git/config", "[core]\n\tfsmonitor = ./git\n"); pipe(project, "src/.git/index") },
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn folder(parent: &Path, name: &str) {
    fs::create_dir_all(parent.join(name)).unwrap();
}

fn link(folder: &Path, name: &str, target: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::remove_file(&path).ok();
    symlink(target, path).unwrap();
}

fn pipe(folder: &Path, name: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::remove_file(&path).ok();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// As long as a disk, and none of it there.
fn huge(folder: &Path, name: &str) {
    write(folder, name, "");
    fs::File::options().write(true).open(folder.join(name)).unwrap().set_len(64 << 30).unwrap();
}

/// A program that leaves a trace in whatever folder it is started.
pub(super) fn program(folder: &Path, name: &str) {
    write(folder, name, "#!/bin/sh\ntouch ran\n");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn config(project: &Path, text: &str) {
    write(project, ".git/config", text);
}

fn repository(project: &Path) {
    git(project, &["init", "-q"]);
    write(project, "gen/kept", "");
    write(project, ".gitignore", "gen/\n");
    git(project, &["add", "-f", "gen/kept", ".gitignore", "pipeline.yml"]);
    git(project, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]);
}

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Nine levels of nine aliases each.
fn aliases() -> String {
    let level = |at: usize| format!("a{at}: &a{at} [{}]\n", vec![format!("*a{}", at - 1); 9].join(", "));
    "a0: &a0 [x]\n".to_owned() + &(1..9).map(level).collect::<String>()
}

/// An index of git with any names.
fn index(paths: &[&str]) -> Vec<u8> {
    let mut bytes = b"DIRC\0\0\0\x02".to_vec();
    bytes.extend((paths.len() as u32).to_be_bytes());
    for path in paths {
        let start = bytes.len();
        bytes.extend([0; 24]);
        bytes.extend(0o100_644_u32.to_be_bytes());
        bytes.extend([0; 32]);
        bytes.extend((path.len() as u16).to_be_bytes());
        bytes.extend(path.as_bytes());
        let length = bytes.len() - start;
        bytes.resize(start + (length / 8 + 1) * 8, 0);
    }
    bytes.extend([0; 20]);
    bytes
}
