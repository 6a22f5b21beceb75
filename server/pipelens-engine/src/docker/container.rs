//! One container, from its creation to its removal. Knows no schedule.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
    DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder, UploadToContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::archive::{self, Packing};
use crate::docker::command::{PRELUDE, StepCommand, TERM_LINE};
use crate::docker::image::{ImageFacts, Images};
use crate::docker::{answered, reap, reason, refused, status_of};
use crate::error::EngineError;
use crate::event::StdStream;
use crate::logs::StepLogs;
use crate::runner::{Ending, GRACE, RunContext};
use crate::sources::Sources;

/// Between KILL and the end of the output: a process that cannot die (a hung disk) must not hold the run.
const DEATH_WITHIN: Duration = Duration::from_secs(30);
/// The exit code of a shell, or an init process, that does not find its command.
const COMMAND_NOT_FOUND: i64 = 127;
/// The exit code after SIGKILL, whoever sent it.
const KILLED: i64 = 137;
/// `/etc/passwd` of a large directory is still far below.
const PASSWD_BYTES: usize = 8 * 1024 * 1024;

pub(super) struct Container {
    docker: Docker,
    pub(super) id: String,
    /// What it was created from.
    pub(super) image: Arc<ImageFacts>,
}

/// Where a folder of the container really is, links followed.
pub(super) struct Target {
    pub(super) parent: String,
    pub(super) name: String,
}

impl Container {
    pub(super) async fn create(
        docker: &Docker,
        context: &RunContext,
        image: Arc<ImageFacts>,
        labels: HashMap<String, String>,
    ) -> Result<Self, EngineError> {
        let name = format!("pipelens-{}", Uuid::new_v4().simple());
        let body = ContainerCreateBody {
            // By id: a tag may be moved between the look-up and here.
            image: Some(image.id.clone()),
            // As entry point, so that neither the image's entry point nor its command takes part.
            entrypoint: Some(["sh", "-c", PRELUDE].map(str::to_owned).to_vec()),
            working_dir: Some(context.step().workdir.clone()),
            labels: Some(labels),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            // The prelude's watcher sees the end of our connection.
            stdin_once: Some(true),
            host_config: Some(HostConfig {
                init: Some(true),
                log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let created = answered("create a container", docker.create_container(Some(options), body)).await?;
        Ok(Self { docker: docker.clone(), id: created.id, image })
    }

    /// Returns the container of a step that has ended, for the next in its line to start again.
    pub(super) async fn take_over(docker: &Docker, id: &str, images: &Images) -> Result<Self, EngineError> {
        let inspected = answered("find the container", docker.inspect_container(id, None)).await?;
        let image = images.known(&inspected.image.unwrap_or_default()).await?;
        Ok(Self { docker: docker.clone(), id: id.to_owned(), image })
    }

    /// Starts the command, hands its output to the logs, and returns how it ended once all of it is there.
    pub(super) async fn run(
        &self,
        context: &RunContext,
        command: &StepCommand,
        logs: &mut StepLogs,
        lost: impl Future<Output = EngineError>,
    ) -> Result<Ending, EngineError> {
        if context.stop.is_cancelled() {
            return Ok(Ending::Stopped);
        }
        // Attached first: nothing the command says can be missed.
        let attached = self.attach().await?;
        self.start().await?;
        let (stdin, lines) = mpsc::channel(2);
        stdin.try_send(command.line.clone()).ok();
        let mut stopped = None;
        let ended = async {
            self.converse(attached, lines, logs).await?;
            // Asked for only now: the engine may know the code before we have all of the output.
            self.exit_code().await
        };
        tokio::pin!(ended, lost);
        let mut time_to_stop = context.time_to_stop(Instant::now()).boxed();
        loop {
            tokio::select! {
                code = &mut ended => {
                    let ending = stopped.unwrap_or(Ending::Exited(code?));
                    match ending {
                        Ending::Exited(COMMAND_NOT_FOUND) => self.check_for_shell().await?,
                        Ending::Exited(KILLED) => self.say_if_out_of_memory(context).await?,
                        Ending::Exited(_) | Ending::TimedOut | Ending::Stopped => {}
                    }
                    return Ok(ending);
                }
                lost = &mut lost => return Err(lost),
                ending = &mut time_to_stop => match stopped {
                    None => {
                        stopped = Some(ending);
                        stdin.try_send(Bytes::from_static(TERM_LINE)).ok();
                        time_to_stop = tokio::time::sleep(GRACE).map(move |()| ending).boxed();
                    }
                    Some(_) => {
                        self.kill().await?;
                        return match tokio::time::timeout(DEATH_WITHIN, &mut ended).await {
                            Ok(code) => code.map(|_| ending),
                            Err(_) => Ok(ending),
                        };
                    }
                }
            }
        }
    }

    async fn attach(&self) -> Result<AttachContainerResults, EngineError> {
        let options =
            AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).build();
        answered("attach to the container", self.docker.attach_container(&self.id, Some(options))).await
    }

    async fn start(&self) -> Result<(), EngineError> {
        answered("start the container", self.docker.start_container(&self.id, None)).await
    }

    /// Nothing in the output of a killed command tells why.
    async fn say_if_out_of_memory(&self, context: &RunContext) -> Result<(), EngineError> {
        let inspected = answered("look at the container", self.docker.inspect_container(&self.id, None)).await?;
        if inspected.state.and_then(|state| state.oom_killed) == Some(true) {
            let key = &context.step().key;
            context.outbox.notice(format!("Step `{key}` ran out of memory: the engine's kernel killed it."));
        }
        Ok(())
    }

    /// An init process stands between the engine and our shell: that there is none shows only in its exit code.
    async fn check_for_shell(&self) -> Result<(), EngineError> {
        for folder in self.image.path.split(':') {
            let options = ContainerArchiveInfoOptionsBuilder::default().path(&format!("{folder}/sh")).build();
            match self.docker.get_container_archive_info(&self.id, Some(options)).await {
                Ok(_) => return Ok(()),
                Err(error) if status_of(&error) == Some(404) => {}
                Err(error) => return Err(refused("look for a shell", &error)),
            }
        }
        let reason = format!("there is no `sh` in `{}`", self.image.path);
        Err(EngineError::NoShell { image: self.image.reference.clone(), reason })
    }

    /// Passes lines in and output out until the output ends. Our side of standard input stays open all the while.
    async fn converse(
        &self,
        attached: AttachContainerResults,
        mut lines: mpsc::Receiver<Bytes>,
        logs: &mut StepLogs,
    ) -> Result<(), EngineError> {
        let AttachContainerResults { mut input, mut output } = attached;
        let speak = async {
            while let Some(line) = lines.recv().await {
                // Nobody listens any more: the output tells how it ended.
                if input.write_all(&line).await.is_err() || input.flush().await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let listen = async {
            while let Some(frame) = output.next().await {
                match frame {
                    Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                        logs.write(StdStream::Stdout, &message).await;
                    }
                    Ok(LogOutput::StdErr { message }) => logs.write(StdStream::Stderr, &message).await,
                    Ok(LogOutput::StdIn { .. }) => {}
                    Err(error) => return Err(EngineError::Lost { reason: reason(&error) }),
                }
            }
            Ok(())
        };
        let result = tokio::select! {
            result = listen => result,
            () = speak => Ok(()),
        };
        logs.finish_streams().await;
        result
    }

    /// Waits for the end of the container. It has been started, so "not running" means that it has ended.
    async fn exit_code(&self) -> Result<i64, EngineError> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = self.docker.wait_container(&self.id, Some(options));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The client calls every code but 0 an error.
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
            Some(Err(error))
                if status_of(&error).is_none() && !matches!(error, Error::DockerContainerWaitError { .. }) =>
            {
                Err(EngineError::Lost { reason: reason(&error) })
            }
            Some(Err(error)) => Err(EngineError::UnknownExitCode { reason: reason(&error) }),
            None => Err(EngineError::Lost { reason: "it closed the connection before the command ended".into() }),
        }
    }

    async fn kill(&self) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        match self.docker.kill_container(&self.id, Some(options)).await {
            Ok(()) => Ok(()),
            // Ended by itself meanwhile.
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(refused("kill the container", &error)),
        }
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

    /// Returns the numbers of the image's user. Names are looked up in the image's own `/etc/passwd` and `/etc/group`.
    pub(super) async fn user_ids(&self) -> Result<(u64, u64), EngineError> {
        let user = self.image.user.as_str();
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
