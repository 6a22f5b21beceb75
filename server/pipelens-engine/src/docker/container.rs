//! One container, from its creation to its removal. Knows no schedule.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerState, ContainerStateStatusEnum, ContainerWaitExitError, ContainerWaitResponse,
    HostConfig, HostConfigLogConfig,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
    DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder, UploadToContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::archive::{self, Packing};
use crate::artifacts::{Artifacts, StreamedBytes, Taken};
use crate::docker::arguments::Arguments;
use crate::docker::client_error::{reason, refused, status_of};
use crate::docker::image::ImageFacts;
use crate::docker::reap;
use crate::error::EngineError;
use crate::event::StdStream;
use crate::sources::Sources;
use crate::step_context::StepContext;
use crate::supervisor::{self, Frame, Streams};

/// Pieces of an archive on their way to the disk.
const ARTIFACT_CHUNKS: usize = 16;
/// The same in every container: steps that share one must not be able to tell.
const HOST_NAME: &str = "pipelens";
/// A supervisor that hears the end of its input. If it cannot, it is killed.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Between KILL and the end of the output: a process that cannot die (a hung disk) must not hold the run.
pub(super) const DEATH_WITHIN: Duration = Duration::from_secs(30);
/// `/etc/passwd` of a large directory is still far below.
const PASSWD_BYTES: usize = 8 * 1024 * 1024;
/// The answer is shown as one line.
const ANSWER_BYTES: usize = 4 * 1024;
/// None that a process has.
const UNKNOWN_EXIT_CODE: i64 = -1;
/// The exit code after SIGKILL, whoever sent it.
pub(super) const KILLED: i64 = 137;

/// Returns the settings of a container whose three streams we hold: its watcher sees the end of our connection.
pub(super) fn attended(
    image: &ImageFacts,
    entrypoint: Vec<String>,
    labels: HashMap<String, String>,
    host_config: HostConfig,
) -> ContainerCreateBody {
    ContainerCreateBody {
        // By id: a tag may be moved between the look-up and here.
        image: Some(image.id.clone()),
        entrypoint: Some(entrypoint),
        labels: Some(labels),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            init: Some(true),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..host_config
        }),
        ..ContainerCreateBody::default()
    }
}

/// Processes of a container in which no command runs: init and the supervisor.
const PROCESSES_WITHOUT_COMMAND: usize = 2;

/// What the engine says of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    NotStarted,
    Running,
    Ended,
    Gone,
}

#[derive(Clone)]
pub(super) struct Container {
    pub(super) docker: Docker,
    pub(super) id: String,
    /// What it was created from.
    pub(super) image: Arc<ImageFacts>,
    /// Whose processes they are: the image's user, unless the step names one.
    pub(super) user: String,
}

/// Where a folder of the container really is, links followed.
pub(super) struct Target {
    pub(super) parent: String,
    pub(super) name: String,
}

impl Container {
    pub(super) async fn create(
        docker: &Docker,
        context: &StepContext,
        image: Arc<ImageFacts>,
        arguments: &Arguments,
        labels: HashMap<String, String>,
    ) -> Result<Self, EngineError> {
        let user = arguments.user.clone().unwrap_or_else(|| image.user.clone());
        // As entry point, so that neither the image's entry point nor its command takes part.
        let entrypoint = ["sh", "-c", supervisor::SCRIPT].map(str::to_owned).to_vec();
        let body = ContainerCreateBody {
            working_dir: Some(context.step().workdir.clone()),
            // Otherwise its id, which differs from step to step or does not.
            hostname: Some(HOST_NAME.into()),
            user: arguments.user.clone(),
            ..attended(&image, entrypoint, labels, arguments.host_config())
        };
        let platform = arguments.platform.as_deref().unwrap_or_default();
        Self::create_from(docker, body, platform, image, user).await
    }

    pub(super) async fn create_from(
        docker: &Docker,
        body: ContainerCreateBody,
        platform: &str,
        image: Arc<ImageFacts>,
        user: String,
    ) -> Result<Self, EngineError> {
        let name = format!("pipelens-{}", Uuid::new_v4().simple());
        let options = CreateContainerOptionsBuilder::default().name(&name).platform(platform).build();
        let created = docker
            .create_container(Some(options), body)
            .await
            .map_err(|error| refused("create a container", &error))?;
        Ok(Self { docker: docker.clone(), id: created.id, image, user })
    }

    /// Connects to the standard streams of the container.
    pub(super) async fn attach(&self) -> Result<Streams, EngineError> {
        let options =
            AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).build();
        let attached = self.docker.attach_container(&self.id, Some(options)).await;
        let AttachContainerResults { input, output } =
            attached.map_err(|error| refused("attach to the container", &error))?;
        let output = output.filter_map(async |piece| match piece {
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                Some(Ok(Frame { stream: StdStream::Stdout, bytes: message }))
            }
            Ok(LogOutput::StdErr { message }) => Some(Ok(Frame { stream: StdStream::Stderr, bytes: message })),
            Ok(LogOutput::StdIn { .. }) => None,
            Err(error) => Some(Err(std::io::Error::other(reason(&error)))),
        });
        Ok(Streams { input, output: output.boxed() })
    }

    pub(super) async fn start(&self) -> Result<(), EngineError> {
        let started = self.docker.start_container(&self.id, None).await;
        started.map_err(|error| refused("start the container", &error))
    }

    pub(super) async fn state(&self) -> Result<ContainerState, Error> {
        Ok(self.docker.inspect_container(&self.id, None).await?.state.unwrap_or_default())
    }

    pub(super) async fn look(&self) -> Result<Seen, Error> {
        match self.state().await {
            Ok(state) if state.status == Some(ContainerStateStatusEnum::CREATED) => Ok(Seen::NotStarted),
            Ok(state) if state.running == Some(true) => Ok(Seen::Running),
            Ok(_) => Ok(Seen::Ended),
            Err(error) if status_of(&error) == Some(404) => Ok(Seen::Gone),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing but the supervisor runs in it, as far as the engine can tell.
    pub(super) async fn has_no_command(&self) -> bool {
        let listed = self.docker.top_processes(&self.id, None).await;
        let processes = listed.ok().and_then(|listed| listed.processes);
        processes.is_some_and(|processes| (1..=PROCESSES_WITHOUT_COMMAND).contains(&processes.len()))
    }

    /// Fails if the image has no shell. An init process runs our shell, so the engine does not notice that there is none.
    pub(super) async fn check_for_shell(&self) -> Result<(), EngineError> {
        if self.has_shell().await? {
            return Ok(());
        }
        let reason = format!("there is no `sh` in `{}`", self.image.path);
        Err(EngineError::NoShell { image: self.image.reference.clone(), reason })
    }

    /// Looks without running anything.
    pub(super) async fn has_shell(&self) -> Result<bool, EngineError> {
        for folder in self.image.path.split(':') {
            let options = ContainerArchiveInfoOptionsBuilder::default().path(&format!("{folder}/sh")).build();
            match self.docker.get_container_archive_info(&self.id, Some(options)).await {
                Ok(_) => return Ok(true),
                Err(error) if status_of(&error) == Some(404) => {}
                Err(error) => return Err(refused("look for a shell", &error)),
            }
        }
        Ok(false)
    }

    /// Runs a command beside what the container runs, as its user, and returns the exit code with what it said.
    pub(super) async fn ask(&self, command: Vec<String>) -> Result<(i64, String), Error> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command),
            ..CreateExecOptions::default()
        };
        let id = self.docker.create_exec(&self.id, options).await?.id;
        let mut said = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = self.docker.start_exec(&id, None).await? {
            while let Some(piece) = output.next().await {
                said.extend(piece?.into_bytes().into_iter().take(ANSWER_BYTES.saturating_sub(said.len())));
            }
        }
        if said.len() == ANSWER_BYTES {
            // Half a secret would not be masked.
            said.truncate(memchr::memrchr(b'\n', &said).unwrap_or(0));
        }
        let code = self.docker.inspect_exec(&id).await?.exit_code;
        Ok((code.unwrap_or(UNKNOWN_EXIT_CODE), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Waits for the end of the container. It has been started, so "not running" means that it has ended.
    pub(super) async fn exit_code(&self) -> Result<i64, EngineError> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = self.docker.wait_container(&self.id, Some(options));
        let unknown = |reason| EngineError::UnknownExitCode { reason };
        match answers.next().await {
            // The engine also gives a code when it could not wait: 0, or one that no command has.
            Some(Ok(ContainerWaitResponse { error: Some(ContainerWaitExitError { message }), .. })) => {
                Err(unknown(message.unwrap_or_else(|| "it gave no reason".into())))
            }
            Some(Ok(answer)) if answer.status_code < 0 => {
                Err(unknown(format!("it answered {}, which is not an exit code", answer.status_code)))
            }
            Some(Ok(answer)) => Ok(answer.status_code),
            // The client calls every code but 0 an error.
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
            Some(Err(Error::DockerContainerWaitError { error, .. })) => Err(unknown(error)),
            Some(Err(error @ (Error::JsonDataError { .. } | Error::JsonSerdeError { .. }))) => {
                Err(unknown(reason(&error)))
            }
            Some(Err(error)) if status_of(&error).is_some() => Err(unknown(reason(&error))),
            Some(Err(error)) => Err(EngineError::Lost { reason: reason(&error) }),
            None => Err(EngineError::Lost { reason: "it closed the connection before the command ended".into() }),
        }
    }

    pub(super) async fn kill(&self) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        match self.docker.kill_container(&self.id, Some(options)).await {
            Ok(()) => Ok(()),
            // It has ended by itself meanwhile.
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(refused("kill the container", &error)),
        }
    }

    /// Kills whatever still runs, and waits until nothing does.
    pub(super) async fn end(&self) -> Result<(), EngineError> {
        self.kill().await?;
        match tokio::time::timeout(DEATH_WITHIN, self.exit_code()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => {
                let reason = format!("it did not end within {} s of being killed", DEATH_WITHIN.as_secs());
                Err(EngineError::Refused { doing: "end the container", reason })
            }
        }
    }

    /// Waits for a container that was told to end. One that does not is removed all the same.
    pub(super) async fn wait_until_gone(&self) {
        drop(tokio::time::timeout(GONE_WITHIN, self.exit_code()).await);
    }

    /// Returns where a folder is, which the engine has created if it was missing.
    pub(super) async fn resolve(&self, folder: &str) -> Result<Target, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(folder).build();
        let real = match self.docker.get_container_archive_info(&self.id, Some(options)).await {
            Ok(stat) if !stat.link_target.is_empty() => stat.link_target,
            Ok(_) => folder.to_owned(),
            // Not there yet: the whole path is in the archive then.
            Err(error) if status_of(&error) == Some(404) => {
                return Ok(Target { parent: "/".into(), name: folder.trim_matches('/').to_owned() });
            }
            Err(error) => return Err(refused("look at the working folder", &error)),
        };
        let real = real.trim_end_matches('/');
        Ok(match real.rsplit_once('/') {
            Some(("", name)) => Target { parent: "/".into(), name: name.to_owned() },
            Some((parent, name)) => Target { parent: parent.to_owned(), name: name.to_owned() },
            None => Target { parent: "/".into(), name: String::new() },
        })
    }

    /// Unpacks the sources in a folder of the container. Needs nothing in the image.
    pub(super) async fn unpack(
        &self,
        folder: &str,
        sources: Arc<Sources>,
        packing: Packing,
    ) -> Result<(), EngineError> {
        let root = sources.root.clone();
        let (stream, failure) = archive::stream(sources, packing);
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let sent = self.docker.upload_to_container(&self.id, Some(options), bollard::body_try_stream(stream)).await;
        if let Some(source) = failure.take() {
            return Err(EngineError::Sources { path: root, source });
        }
        sent.map_err(|error| refused("take the sources", &error))
    }

    /// Copies the artifacts of a step out of the container. Needs nothing in the image.
    pub(super) async fn take_artifacts(&self, artifacts: &Artifacts, workdir: &str) -> Result<Taken, EngineError> {
        let mut taken = Taken::default();
        for place in artifacts.places() {
            let path = if place.is_empty() { workdir.to_owned() } else { format!("{workdir}/{place}") };
            let options = DownloadFromContainerOptionsBuilder::default().path(&path).build();
            let mut stream = self.docker.download_from_container(&self.id, Some(options));
            let (tx, chunks) = mpsc::channel(ARTIFACT_CHUNKS);
            let (own, own_place) = (artifacts.clone(), place.clone());
            let unpacking = tokio::task::spawn_blocking(move || {
                own.take_from_archive(&own_place, StreamedBytes { chunks, rest: Bytes::new() })
            });
            let mut broken = None;
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) => {
                        if tx.send(Ok(chunk)).await.is_err() {
                            break;
                        }
                    }
                    // Nothing is there: the summary says so.
                    Err(error) if status_of(&error) == Some(404) => break,
                    Err(error) => {
                        tx.send(Err(std::io::Error::other("the connection was interrupted"))).await.ok();
                        broken = Some(refused("copy the artifacts", &error));
                        break;
                    }
                }
            }
            // The end of its input is the end of the task.
            drop(tx);
            let unpacked = unpacking.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic.to_string())));
            if let Some(error) = broken {
                return Err(error);
            }
            let failed = |source| EngineError::File { doing: "Writing the artifacts", path: place.into(), source };
            taken.add(unpacked.map_err(failed)?);
        }
        Ok(taken)
    }

    /// Returns the numbers of the container's user. Names are looked up in the image's own `/etc/passwd` and `/etc/group`.
    pub(super) async fn user_ids(&self) -> Result<(u64, u64), EngineError> {
        let user = self.user.as_str();
        let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
        if user.is_empty() {
            return Ok((0, 0));
        }
        let number = |text: &str| text.parse::<u64>().ok();
        if let (Some(user_id), Some(group_id)) = (number(user), group.and_then(number)) {
            return Ok((user_id, group_id));
        }
        let passwd = self.read_file("/etc/passwd").await;
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&user) || (number(user).is_some() && fields.get(2) == Some(&user)));
        let field = |index: usize| entry.as_ref().and_then(|fields| fields.get(index)).and_then(|text| number(text));
        let user_id = number(user).or_else(|| field(2)).ok_or_else(|| EngineError::Refused {
            doing: "find the user of the image",
            reason: format!("`{user}` is not in its `/etc/passwd`"),
        })?;
        let group_id = match group {
            Some(group) => match number(group) {
                Some(id) => id,
                None => self.group_id(group).await,
            },
            None => field(3).unwrap_or(0),
        };
        Ok((user_id, group_id))
    }

    async fn group_id(&self, name: &str) -> u64 {
        let groups = self.read_file("/etc/group").await;
        let entry =
            groups.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name));
        entry.and_then(|fields| fields.get(2)?.parse().ok()).unwrap_or(0)
    }

    /// Returns a small text file of the container; empty if there is none.
    async fn read_file(&self, path: &str) -> String {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream = self.docker.download_from_container(&self.id, Some(options));
        let mut bytes = Vec::new();
        while let Some(Ok(chunk)) = stream.next().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > PASSWD_BYTES {
                break;
            }
        }
        let mut text = String::new();
        let mut archive = tar::Archive::new(bytes.as_slice());
        if let Ok(mut entries) = archive.entries()
            && let Some(Ok(mut entry)) = entries.next()
        {
            entry.read_to_string(&mut text).ok();
        }
        text
    }

    /// Removes the container, running or not.
    pub(super) async fn remove(self) {
        // What stays is found again by its label when the run closes.
        if let Some(problem) = reap::remove_container(&self.docker, &self.id).await {
            tracing::debug!(problem, "a container stays for now");
        }
    }
}
