//! What a step changed, as a layer in a real registry, put over what there was before.

use std::path::Path;
use std::process::Command;

use pipelens_agent::client::{Agent, AgentError};
use pipelens_agent::protocol::message;
use pipelens_agent::protocol::message::{Layer, PushRequest};

use crate::container::{Container, command, run};
use crate::registry::{AUTHORIZATION, Registry};

fn request(registry: &Registry, authorization: Option<&str>) -> PushRequest {
    PushRequest {
        registry: message::Registry {
            repository: format!("http://{}/v2/some/results", registry.address),
            authorization: authorization.map(str::to_owned),
            trusted: None,
            insecure: true,
        },
    }
}

fn shell(script: &str, arguments: &[&Path]) -> String {
    let output = Command::new("sh").args(["-euc", script, "sh"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that can be said of a tree, without what other containers or the agent have in it.
fn facts(root: &Path) -> String {
    let script = r#"cd "$1"; find . -mindepth 1 -path ./.pipelens -prune -o -path ./dev -prune -o -type d -printf '%p %y %m %U %G %T@\n' \
        -o -type s -o -printf '%p %y %m %U %G %s %T@ %n %l\n' | sort
        find . -path ./.pipelens -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
        find . -type f -perm /111 -print0 | sort -z | xargs -0r getcap 2>/dev/null || :"#;
    shell(script, &[root])
}

fn copy(from: &Path, to: &Path) {
    shell(r#"cp -a "$1" "$2"; rm -rf "$2/.pipelens""#, &[from, to]);
}

/// Puts a layer over a tree, as container engines do.
fn put_over(blob: &Path, tree: &Path) {
    let script = r#"cd "$2"
        tar -tzf "$1" | while IFS= read -r path; do
            name=${path##*/}
            case $name in .wh.*) rm -rf "${path%"$name"}${name#.wh.}";; esac
            case $path in */) [ ! -d "$path" ] && rm -f "${path%/}" || :;; *) [ ! -d "$path" ] || rm -rf "$path";; esac
        done
        tar -xpzf "$1" --xattrs --xattrs-include='*' --same-owner --exclude='.wh.*'"#;
    shell(script, &[blob, tree]);
}

async fn push(agent: &Agent, registry: &Registry) -> Layer {
    agent.push_layer(request(registry, None)).await.unwrap()
}

/// Makes, changes and removes things of every kind.
const BEFORE: &str = r#"mkdir -p keep/deep gone/deep swap tofile; echo 1 >keep/deep/a; echo 2 >gone/deep/b; echo 3 >swap/c; echo 4 >tofile/d
    echo 5 >tofolder; echo 6 >mode; echo 7 >touched; ln -s a link; echo 8 >pair; ln pair pair2; echo 9 >'odd "name'"#;
const CHANGES: &str = r#"rm -rf gone; rm -r swap; mkdir swap; echo new >swap/e; rm -r tofile; echo file >tofile; rm tofolder; mkdir tofolder
    echo in >tofolder/f; chmod 4711 mode; touch -d '2001-02-03 04:05:06.789012345' touched; ln -sf b link; echo more >>pair
    mkdir -p a/new/tree; head -c 300000 /dev/urandom >a/new/tree/random; mkfifo pipe; rm 'odd "name'; echo x >.hidden
    ln a/new/tree/random hard1; ln hard1 hard2; chown 12:34 a/new; mkdir "$(printf 'n%.0s' $(seq 120))"; echo deep >"$(printf 'n%.0s' $(seq 120))/file"
    cp /usr/bin/env capable; setcap cap_net_raw+ep capable 2>/dev/null || :; touch -d '1960-01-01 00:00:00.5' old; truncate -s 1M hole; chmod 700 keep"#;

#[tokio::test]
async fn a_layer_over_what_there_was_is_what_the_step_left() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(container) = Container::start(|root| {
        std::fs::create_dir(root.join("work")).unwrap();
        shell(&format!("cd \"$1/work\"; {BEFORE}"), &[root]);
    }) else {
        return;
    };
    let agent = container.connect().await;
    let listing = agent.await_listing().await.unwrap();
    assert!(listing.entries > 20 && listing.bytes < 100 * listing.entries, "{listing:?}");
    let copies = tempfile::tempdir().unwrap();
    let tree = copies.path().join("tree");
    copy(container.root.path(), &tree);

    let (report, written) = run(&agent, command(CHANGES)).await;
    assert_eq!((report.exit_code, written.as_str()), (0, ""));
    let layer = push(&agent, &registry).await;
    let blob = registry.blob(&layer.digest);
    assert_eq!(std::fs::metadata(&blob).unwrap().len(), layer.size);
    let sums =
        shell(r#"sha256sum <"$1"; gzip -dc "$1" | sha256sum; gzip -dc "$1" | wc -c; tar -tzf "$1" | wc -l"#, &[&blob]);
    let sums: Vec<&str> = sums.lines().map(|line| line.trim_end_matches("  -")).collect();
    let digests = [layer.digest.as_str(), &layer.diff_id].map(|digest| digest.strip_prefix("sha256:").unwrap());
    assert_eq!(sums, [digests[0], digests[1], &layer.uncompressed_size.to_string(), &layer.entries.to_string()]);
    put_over(&blob, &tree);
    similar(&facts(&tree), &facts(container.root.path()));

    // The next layer is relative to this one.
    let (report, _) = run(&agent, command("rm -r a; echo changed >capable; mkdir gone")).await;
    assert_eq!(report.exit_code, 0);
    let layer = push(&agent, &registry).await;
    // The directory, its whiteout, the two others, and both names of a file that has lost its third one.
    assert_eq!(layer.entries, 6, "{layer:?}");
    put_over(&registry.blob(&layer.digest), &tree);
    similar(&facts(&tree), &facts(container.root.path()));

    let layer = push(&agent, &registry).await;
    assert_eq!(layer.entries, 0, "nothing has changed: {layer:?}");
    agent.goodbye().await;
}

#[track_caller]
fn similar(one: &str, other: &str) {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    let only = |here: &[&str], there: &[&str]| -> Vec<String> {
        here.iter().filter(|line| !there.contains(line)).map(|line| (*line).to_owned()).collect()
    };
    assert_eq!(only(&one, &other), only(&other, &one));
}

#[tokio::test]
async fn a_registry_that_asks_for_a_password_says_so_and_nothing_is_lost() {
    let Some(registry) = Registry::start(true) else { return };
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    agent.await_listing().await.unwrap();
    run(&agent, command("echo new >/work/file")).await;
    let error = agent.push_layer(request(&registry, None)).await.unwrap_err();
    assert_eq!(error.challenge(), Some(Some("Basic realm=\"test\"")), "{error}");
    assert!(error.to_string().contains("answered 401 Unauthorized"), "{error}");
    let layer = agent.push_layer(request(&registry, Some(AUTHORIZATION))).await.unwrap();
    let names = shell("tar -tzf \"$1\"", &[&registry.blob(&layer.digest)]);
    assert_eq!(names, "work/\nwork/file\n");
    agent.goodbye().await;
}

#[tokio::test]
async fn a_push_that_fails_or_is_cancelled_can_be_repeated() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(container) = Container::start(|_| {}) else { return };
    let agent = container.connect().await;
    agent.await_listing().await.unwrap();
    run(&agent, command("head -c 30000000 /dev/urandom >/work/large")).await;
    let mut nowhere = request(&registry, None);
    nowhere.registry.repository = "http://127.0.0.1:1/v2/some/results".into();
    let error = agent.push_layer(nowhere.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("the layer could not be pushed to http://127.0.0.1:1: "), "{error}");
    nowhere.registry.insecure = false;
    let error = agent.push_layer(nowhere).await.unwrap_err().to_string();
    assert_eq!(error, "`http://127.0.0.1:1/v2/some/results` does not begin with `https://`");
    tokio::select! {
        biased;
        pushed = agent.push_layer(request(&registry, None)) => assert!(pushed.is_ok()),
        _ = agent.identity() => {}
    }
    let layer = push(&agent, &registry).await;
    assert!(layer.entries == 0 || layer.size > 30_000_000, "{layer:?}");
    assert!(matches!(agent.read_small_file("/").await, Err(AgentError::Failed(_))));
    agent.goodbye().await;
}
