//! Images that declare volumes: what a step leaves in one is as safe as everything else it leaves.

use pipelens_core::plan::PlanStep;
use pipelens_engine::event::{BuildEvent, Outcome, RunOutcome};

use crate::bench::{
    Bench, PRINT_VOLUME, StepExt as _, assert_nothing_left, assert_volume_is_removed, docker_client, docker_host,
    docker_runner, eventually, step,
};
use crate::cache::{Project, forever};
use crate::docker::needs_docker;
use crate::engines::Podman;
use crate::proxy::{Fault, Kind, Proxy};
use crate::services::with_services;

/// An image of a test's own that declares volumes.
struct VolumeImage(String);

impl VolumeImage {
    fn new(changes: &[&str]) -> Self {
        let tag = format!("pipelens-volumes/image:{}", uuid::Uuid::new_v4().simple());
        let container = docker_client(&["create", "pipelens-test/user", "true"]);
        let mut arguments = vec!["commit"];
        arguments.extend(changes.iter().flat_map(|change| ["-c", change]));
        docker_client(&[arguments.as_slice(), &[container.trim(), &tag]].concat());
        docker_client(&["rm", container.trim()]);
        Self(tag)
    }
}

impl Drop for VolumeImage {
    fn drop(&mut self) {
        docker_client(&["rmi", "-f", &self.0]);
    }
}

const ROOT: &[&str] = &["USER 0", "VOLUME /workspace", "VOLUME /root/.m2 /var/lib/made/deep", "VOLUME /home/app"];

#[tokio::test]
async fn a_child_sees_what_its_parent_left_in_a_volume() {
    needs_docker!();
    let image = VolumeImage::new(ROOT);
    let write = "cat source; for folder in . /root/.m2 /var/lib/made/deep /home/app; do echo left > $folder/left; done";
    let read = "cat source; cat left /root/.m2/left /var/lib/made/deep/left /home/app/left; stat -c %u:%a /home/app /var/lib/made/deep";
    let expected = ["source", "left", "left", "left", "left", "1000:755", "0:755"];
    // One child goes on in the container of its parent, several start from an image of it.
    for children in 1..3 {
        let mut steps = vec![step("a", write).image(&image.0)];
        steps.extend((0..children).map(|child| step(&format!("b{child}"), read).builds_in(0)));
        let ran = Bench::docker(steps).file("source", "source\n").run().await;
        ran.assert_succeeded();
        assert_nothing_left(ran.run_id);
        for child in 0..children {
            assert_eq!(ran.text_of(&format!("b{child}")), expected);
        }
    }
}

#[tokio::test]
async fn a_test_that_fails_on_a_file_of_its_parent_fails() {
    needs_docker!();
    let image = VolumeImage::new(&["USER 0", "VOLUME /workspace"]);
    let test = "for file in *.sh; do [ -e \"$file\" ] || continue; sh \"$file\" || exit 1; done";
    let steps = vec![step("a", "ls").image(&image.0), step("b", test).builds_in(0)];
    let ran = Bench::docker(steps).file("test.sh", "exit 1\n").run().await;
    assert_eq!(*ran.outcome_of("b"), Outcome::Failed(1));
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn the_settings_of_an_image_stay_without_its_volumes() {
    needs_docker!();
    let image = VolumeImage::new(&["VOLUME /data", "ENV MORE=more", "WORKDIR /home/app", "ENTRYPOINT [\"false\"]"]);
    let look = "id -u; echo $MORE $HOME; cat source; stat -c %u source; echo mine > mine; cat mine";
    let steps = || vec![step("a", look).image(&image.0), step("b", "cat mine; id -u").builds_in(0)];
    let ran = Bench::docker(steps()).file("source", "source\n").run().await;
    ran.assert_succeeded();
    assert_eq!(ran.text_of("a"), ["1000", "more /home/app", "source", "1000", "mine"]);
    assert_eq!(ran.text_of("b"), ["mine", "1000"]);
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn a_kept_result_has_what_is_in_a_volume_and_nothing_outlives_it() {
    needs_docker!();
    let image = VolumeImage::new(ROOT);
    let project = Project::new(docker_runner());
    project.file("in", "one\n");
    let steps = || {
        vec![
            forever(step("build", "cat in > made; echo repository > /root/.m2/jar").image(&image.0)),
            step("test", "cat in made /root/.m2/jar").builds_in(0),
        ]
    };
    project.run(steps()).await.assert_succeeded();
    project.file("in", "two\n");
    let ran = project.run(steps()).await;
    ran.assert_succeeded();
    assert_eq!(*ran.outcome_of("build"), Outcome::Cached);
    assert_eq!(ran.text_of("test"), ["two", "one", "repository"]);
    project.clean().await;
    let label = format!(
        "label=dev.pipelens.workspace={}",
        pipelens_engine::cache::workspace_id(&project.sources.path().canonicalize().unwrap())
    );
    assert_eq!(docker_client(&["images", "-aq", "--filter", &label]), "");
}

#[tokio::test]
async fn a_failed_step_leaves_its_workspace_although_it_is_a_volume() {
    needs_docker!();
    let image = VolumeImage::new(ROOT);
    let project = Project::new(docker_runner());
    let ran = project.run(vec![step("a", "echo evidence > evidence; exit 3").image(&image.0)]).await;
    assert_eq!(ran.outcome, RunOutcome::Failed);
    let shell = ran.events.iter().find_map(|event| match event {
        BuildEvent::StepKept { shell, .. } => Some(shell.clone()),
        _ => None,
    });
    let shell = shell.unwrap().replace(" -it", " -i");
    let mut command = std::process::Command::new("sh");
    command.env("DOCKER_HOST", crate::bench::docker_host().unwrap());
    let output = command.args(["-c", &format!("echo 'cat evidence' | ({shell})")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "evidence\n", "{shell}: {output:?}");
    project.clean().await;
}

#[tokio::test]
async fn many_steps_share_one_image_without_volumes() {
    needs_docker!();
    let image = VolumeImage::new(ROOT);
    // So many that they start from an image with the sources.
    let steps: Vec<PlanStep> = (0..8).map(|index| step(&index.to_string(), "cat source").image(&image.0)).collect();
    let ran = Bench::docker(steps).file("source", "source\n").run().await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_an_image_without_volumes_is_made_leaves_nothing() {
    needs_docker!();
    let image = VolumeImage::new(ROOT);
    let proxy = Proxy::start(&docker_host().unwrap()).await;
    proxy.plan(Fault { kind: Kind::Slow, question: "POST /commit", nth: 0, lasts: false, after_bytes: 0 });
    let mut bench = Bench::docker(vec![step("a", "true").image(&image.0)]);
    bench.request.docker_host = Some(format!("tcp://{}", proxy.address));
    let running = bench.start();
    eventually("the image is saved", async || proxy.has_struck().then_some(())).await;
    running.cancel.cancel();
    let ran = running.finish().await;
    assert_eq!(ran.outcome, RunOutcome::Cancelled);
    assert_nothing_left(ran.run_id);
}

/// The service's volumes stay, because nothing starts from what it leaves.
#[tokio::test]
async fn volumes_of_a_service_are_removed_with_its_container() {
    needs_docker!();
    let image = VolumeImage::new(&["VOLUME /data"]);
    let service = format!(
        "one: {{image: '{}', ready: 7003, cmd: \"{PRINT_VOLUME} > /tmp/index.html; exec httpd -f -p 7003 -h /tmp\"}}",
        image.0
    );
    let ran = Bench::docker(vec![with_services(step("a", "wget -qO- http://one:7003/"), &service)]).run().await;
    ran.assert_succeeded();
    assert_nothing_left(ran.run_id);
    assert_volume_is_removed(&ran.text_of("a").concat()).await;
}

/// Podman accepts no image without its layers.
#[tokio::test]
async fn a_child_sees_what_its_parent_left_in_a_volume_of_podman() {
    needs_docker!();
    let Some(podman) = Podman::start().await else { return };
    let image = VolumeImage::new(&["USER 0", "VOLUME /data /workspace"]);
    let archive = tempfile::NamedTempFile::new().unwrap();
    let path = archive.path().display().to_string();
    docker_client(&["save", "-o", &path, &image.0]);
    podman.client(&["load", "-i", &path]);
    let name = format!("localhost/{}", image.0);
    podman.tag_loaded(&image.0, &name);
    let write = "cat source > made; echo left > /data/left";
    let steps = vec![
        step("a", write).image(&name),
        step("b", "cat made /data/left").builds_in(0),
        step("c", "cat made /data/left").builds_in(0),
    ];
    let mut bench = Bench::docker(steps).file("source", "source\n");
    bench.request.docker_host = Some(podman.host.clone());
    let ran = bench.run().await;
    ran.assert_succeeded();
    assert_eq!([ran.text_of("b"), ran.text_of("c")], [["source", "left"], ["source", "left"]]);
}
