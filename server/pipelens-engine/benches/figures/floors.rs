//! What the engine's own calls cost, without anything of ours between them: the least that a correct runner can need.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, KillContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;

use crate::bench::BUSYBOX;

/// Ten files of 10 kB, as the runs themselves send them.
pub(crate) fn small_tree() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for index in 0..10 {
        let mut header = tar::Header::new_gnu();
        header.set_size(10_000);
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("workspace/file-{index}"), [b'x'; 10_000].as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// One step: create, send, attach, start, drain, wait, remove.
pub(crate) async fn one_step(docker: &Docker, tree: &[u8]) {
    let id = create(docker, "true").await;
    send(docker, &id, tree).await;
    let mut attached = attach(docker, &id).await;
    docker.start_container(&id, None).await.unwrap();
    while attached.next().await.is_some() {}
    wait(docker, &id).await;
    remove(docker, &id).await;
}

/// A chain in one container, one exec after another: the cheapest way the API has.
pub(crate) async fn chain(docker: &Docker, tree: &[u8], length: usize) {
    let id = create(docker, "sleep 1000").await;
    send(docker, &id, tree).await;
    docker.start_container(&id, None).await.unwrap();
    for _ in 0..length {
        let config = ExecConfig {
            cmd: Some(vec!["sh".into(), "-c".into(), "true".into()]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = docker.create_exec(&id, config).await.unwrap().id;
        if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&exec, None).await.unwrap() {
            while output.next().await.is_some() {}
        }
        docker.inspect_exec(&exec).await.unwrap();
    }
    remove(docker, &id).await;
}

/// Single steps side by side, as many at once as proves best.
pub(crate) async fn fan_out(docker: &Docker, tree: &[u8], width: usize, at_once: usize) {
    let steps = (0..width).map(|_| one_step(docker, tree));
    futures_util::stream::iter(steps).buffer_unordered(at_once).collect::<Vec<()>>().await;
}

/// Starts a command and returns how many bytes it wrote.
pub(crate) async fn attach_and_count(docker: &Docker, cmd: &str) -> usize {
    let id = create(docker, cmd).await;
    let mut attached = attach(docker, &id).await;
    docker.start_container(&id, None).await.unwrap();
    let mut bytes = 0;
    while let Some(frame) = attached.next().await {
        bytes += frame.unwrap().into_bytes().len();
    }
    wait(docker, &id).await;
    remove(docker, &id).await;
    bytes
}

/// From TERM to "nothing is left", for containers that end at once when asked.
pub(crate) async fn cancel(docker: &Docker, width: usize) -> Duration {
    let mut ids = Vec::new();
    for _ in 0..width {
        let id = create(docker, "sleep 1000").await;
        docker.start_container(&id, None).await.unwrap();
        ids.push(id);
    }
    let began = Instant::now();
    let ends = ids.iter().map(async |id| {
        let options = KillContainerOptionsBuilder::default().signal("TERM").build();
        docker.kill_container(id, Some(options)).await.unwrap();
        wait(docker, id).await;
        remove(docker, id).await;
    });
    futures_util::future::join_all(ends).await;
    began.elapsed()
}

async fn create(docker: &Docker, cmd: &str) -> String {
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.into()),
        cmd: Some(vec!["sh".into(), "-c".into(), cmd.into()]),
        working_dir: Some("/workspace".into()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        labels: Some(HashMap::from([("floor".to_owned(), "1".to_owned())])),
        host_config: Some(HostConfig {
            init: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    docker.create_container(Some(CreateContainerOptionsBuilder::default().build()), body).await.unwrap().id
}

async fn send(docker: &Docker, id: &str, tree: &[u8]) {
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    docker.upload_to_container(id, Some(options), bollard::body_full(tree.to_vec().into())).await.unwrap();
}

async fn attach(
    docker: &Docker,
    id: &str,
) -> impl futures_util::Stream<Item = Result<bollard::container::LogOutput, bollard::errors::Error>> + use<> {
    let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
    docker.attach_container(id, Some(options)).await.unwrap().output
}

async fn wait(docker: &Docker, id: &str) {
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    // A code other than 0 is an error to the client.
    docker.wait_container(id, Some(options)).next().await.map(Result::ok);
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(id, Some(options)).await.unwrap();
}
