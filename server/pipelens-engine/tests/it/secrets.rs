//! A secret that a step prints in every way tools print one is nowhere afterwards: no image, container, log, event or database.

use std::path::Path;

use pipelens_core::plan::{Cache, CachePolicy, PlanStep};
use pipelens_engine::cache::{Budget, CacheRequest};

use crate::bench::{Bench, StepExt as _, docker_client, step};
use crate::docker::needs_docker;
use crate::lineage::saved_image;

const TOKEN: &str = "s3cr&t w/ord+x'y\"z";
const KEY: &str = r"-----BEGIN KEY-----
MIIEvQIBADANBgkq
hkiG9w0BAQEFAASC
-----END KEY-----
";

/// One way a line; the number of lines is the number of ways.
const WAYS: &str = r#"echo "plain $TOKEN"
echo "error $TOKEN" >&2
printf 'halves %.7s' "$TOKEN"; sleep 0.2; printf '%s\n' "${TOKEN#???????}"
printf '%s' "$TOKEN" | base64
printf 'user:%s' "$TOKEN" | base64
printf 'x:%s:more' "$TOKEN" | base64 -w 0; echo
printf '%s' "$TOKEN" | sed -e 's/&/%26/g' -e 's/ /%20/g' -e 's,/,%2F,g' -e 's/+/%2B/g' -e "s/'/%27/g" -e 's/"/%22/g'; echo
printf '%s' "$TOKEN" | sed -e 's/&/%26/g' -e 's/ /+/g' -e 's,/,%2F,g' -e 's/+x/%2Bx/g' -e "s/'/%27/g" -e 's/"/%22/g'; echo
printf '%s' "$TOKEN" | sed -e 's/"/\\"/g'; echo
printf '%s' "$TOKEN" | sed -e "s/'/'\\\\''/g"; echo
env | grep TOKEN
echo "$KEY"
echo "$KEY" | while read -r line; do echo "[$line]"; done
printf '%s' "$KEY" | base64
set -x; : "$TOKEN" >&2
"#;

fn forms() -> Vec<String> {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let inner = |text: &str| text[4..text.len() - 4].to_owned();
    let mut forms = vec![
        TOKEN.to_owned(),
        TOKEN[..7].to_owned(),
        TOKEN[7..].to_owned(),
        encode(TOKEN),
        inner(&encode(&format!("user:{TOKEN}"))),
        inner(&encode(&format!("x:{TOKEN}:more"))),
        "s3cr%26t".to_owned(),
        "w%2Ford".to_owned(),
        TOKEN.replace('"', "\\\""),
        "MIIEvQIBADANBgkq".to_owned(),
        "hkiG9w0BAQEFAASC".to_owned(),
        encode(KEY)[4..40].to_owned(),
    ];
    forms.sort();
    forms.dedup();
    forms
}

fn keeping(step: PlanStep, state_dir: &Path, bench: Vec<PlanStep>) -> Bench {
    let cache = Cache { policy: CachePolicy::Forever { env_keys: vec![] }, key: None };
    let mut steps = vec![PlanStep { cache: Some(cache), ..step }];
    steps.extend(bench);
    let mut bench = Bench::docker(steps);
    bench.request.cache = Some(CacheRequest {
        state_dir: state_dir.to_owned(),
        is_read: true,
        variables: Default::default(),
        budget: Budget::default(),
        shares_with_harmont: false,
        registry: None,
    });
    bench.secret("TOKEN", TOKEN).secret("KEY", KEY)
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_secret_printed_in_every_way_is_nowhere_afterwards() {
    needs_docker!();
    let state = tempfile::tempdir().unwrap();
    let with_secrets = |step: PlanStep| PlanStep { secrets: vec!["TOKEN".into(), "KEY".into()], ..step };
    let key = uuid::Uuid::new_v4().to_string();
    // A kept snapshot, a child's, and the state of a failure: three images, a database, logs and events.
    let steps = vec![
        with_secrets(step("child", WAYS).builds_in(0)),
        with_secrets(step("fails", &format!("{WAYS}exit 3")).builds_in(0)),
        step("without", "env; cat /proc/1/environ /proc/1/cmdline").builds_in(1),
    ];
    let ran = keeping(with_secrets(step(&key, WAYS)), state.path(), steps).run().await;
    for name in [key.as_str(), "child"] {
        assert!(ran.lines_of(name).len() >= WAYS.lines().count(), "{:?}", ran.text_of(name));
    }
    let forms = forms();
    let expect_none = |what: &str, bytes: &[u8]| {
        for form in &forms {
            let found = memchr::memmem::find(bytes, form.as_bytes());
            let near = found.map(|at| {
                String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
            });
            assert!(near.is_none(), "`{form}` is in {what}: {near:?}");
        }
    };
    expect_none("the events", format!("{:?}", ran.events).as_bytes());
    for name in [key.as_str(), "child", "fails", "without"] {
        expect_none(&format!("the text of {name}"), ran.text_of(name).join("\n").as_bytes());
        expect_none(&format!("the log of {name}"), ran.log_of(name).as_bytes());
    }
    let files = files_below(state.path());
    assert!(!files.is_empty());
    for file in files {
        expect_none(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
    let images = docker_client(&["images", "-q", "--no-trunc", "--filter", &format!("label=dev.pipelens.step={key}")]);
    assert!(!images.is_empty());
    for image in images.lines() {
        expect_none("an image's configuration", docker_client(&["inspect", image]).as_bytes());
        expect_none("an image's history", docker_client(&["history", "--no-trunc", image]).as_bytes());
        expect_none("an image's layers", &saved_image(image));
    }
    let containers = docker_client(&["ps", "-aq", "--filter", &format!("label=dev.pipelens.run={}", ran.run_id)]);
    assert_eq!(containers, "");
}
