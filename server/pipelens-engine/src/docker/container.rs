//! One container, from its creation to its removal. Knows nothing about scheduling.

mod files;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::PathStatResponse;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerState, ContainerStateStatusEnum, ContainerWaitExitError, ContainerWaitResponse,
    HostConfig, HostConfigLogConfig, Mount,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
    DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use uuid::Uuid;

use crate::clock;
use crate::docker::arguments::Arguments;
use crate::docker::client_error::{reason, refused, status_of};
use crate::docker::image::{self, ImageFacts};
use crate::docker::network::{self, Network};
use crate::docker::reap;
use crate::error::EngineError;
use crate::event::StdStream;
use crate::step_context::StepContext;
use crate::supervisor::{self, Frame, Streams};

/// The same in every container: steps that share one must not be able to tell.
const HOST_NAME: &str = "pipelens";
/// How long a supervisor may take to exit after its input has ended. After that, it is killed.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Between KILL and the end of the output: a process that cannot die (a hung disk) must not block the run.
pub(super) const DEATH_WITHIN: Duration = Duration::from_secs(30);
/// The answer is shown as one line.
const ANSWER_BYTES: usize = 4 * 1024;
/// Not an id of any process.
const UNKNOWN_EXIT_CODE: i64 = -1;
/// The exit code after SIGKILL, no matter who sent it.
pub(super) const KILLED: i64 = 137;

/// Returns the settings of a container whose three standard streams are attached to us, so that its watcher sees our connection end.
pub(super) fn attended(
    image: &ImageFacts,
    entrypoint: Vec<String>,
    labels: HashMap<String, String>,
    host_config: HostConfig,
) -> ContainerCreateBody {
    ContainerCreateBody {
        // By id, because a tag may have moved since the lookup.
        image: Some(image.id.clone()),
        entrypoint: Some(entrypoint),
        labels: Some(labels),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            init: host_config.init.or(Some(true)),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..host_config
        }),
        ..ContainerCreateBody::default()
    }
}

/// The number of processes in a container in which no command runs: init and the supervisor.
const PROCESSES_WITHOUT_COMMAND: usize = 2;

/// A container's state, as reported by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    NotStarted,
    Running,
    Ended,
    Gone,
}

/// What a container gets apart from what the step's arguments say.
#[derive(Default)]
pub(super) struct Attachments<'a> {
    pub(super) mounts: &'a [Mount],
    /// Another container, all of whose volumes it mounts.
    pub(super) of_container: Option<String>,
    /// The network in which some of its services are.
    pub(super) network: Option<&'a Network>,
}

#[derive(Clone)]
pub(super) struct Container {
    pub(super) docker: Docker,
    pub(super) id: String,
    /// The image it was created from.
    pub(super) image: Arc<ImageFacts>,
    /// The user of its processes: the image's, unless the step sets one.
    pub(super) user: String,
}

impl Container {
    pub(super) async fn create(
        docker: &Docker,
        context: &StepContext,
        image: Arc<ImageFacts>,
        arguments: &Arguments,
        attachments: Attachments<'_>,
        labels: HashMap<String, String>,
    ) -> Result<Self, EngineError> {
        let mut host_config = arguments.host_config();
        host_config.mounts.get_or_insert_default().extend_from_slice(attachments.mounts);
        host_config.volumes_from = attachments.of_container.map(|container| vec![container]);
        let aliases: Vec<String> = arguments.together().map(str::to_owned).collect();
        let mut further = None;
        let mut networking_config = None;
        if let Some(network) = attachments.network {
            if network::is_default(arguments.network.as_deref()) {
                host_config.network_mode = Some(network.name.clone());
                networking_config = Some(Network::only(&network.name, aliases));
            } else {
                further = Some((network, aliases));
            }
        }
        let user = arguments.user.clone().unwrap_or_else(|| image.user.clone());
        // As the entry point, so that the image's own entry point and command are not used.
        let entrypoint = ["sh", "-c", supervisor::SCRIPT].map(str::to_owned).to_vec();
        let body = ContainerCreateBody {
            working_dir: Some(context.step().workdir.clone()),
            // The default is the container's id, by which a step could tell whether it shares a container.
            hostname: Some(HOST_NAME.into()),
            user: arguments.user.clone(),
            networking_config,
            ..attended(&image, entrypoint, labels, host_config)
        };
        let platform = arguments.platform.as_deref().unwrap_or_default();
        let container = Self::create_from(docker, body, platform, image, user).await?;
        if let Some((network, aliases)) = further
            && let Err(error) = network.connect(&container.id, aliases).await
        {
            container.remove().await;
            return Err(error);
        }
        Ok(container)
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

    /// Whether only the supervisor runs in it, as far as the engine can tell.
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

    /// Checks without running anything.
    pub(super) async fn has_shell(&self) -> Result<bool, EngineError> {
        let mut endless = None;
        for folder in self.image.path.split(':') {
            let path = format!("{folder}/sh");
            match self.look_up(&path).await {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                Err(error) if is_endless_link(&error) => endless = endless.or(Some(path)),
                Err(error) => return Err(refused("check for a shell", &error)),
            }
        }
        match endless {
            Some(path) => {
                let reason = format!("`{path}` is a link that leads back to itself");
                Err(EngineError::NoShell { image: self.image.reference.clone(), reason })
            }
            None => Ok(false),
        }
    }

    /// Returns what the engine knows about an absolute path; `None`: there is nothing.
    async fn look_up(&self, path: &str) -> Result<Option<PathStatResponse>, Error> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        match self.docker.get_container_archive_info(&self.id, Some(options)).await {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            Err(error) if status_of(&error).is_some() => {
                // An answer to this kind of request has no message, but asking for the content fails for the same reason.
                let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
                match self.docker.download_from_container(&self.id, Some(options)).boxed().next().await {
                    Some(Err(same)) if status_of(&same) == status_of(&error) => Err(same),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is something at an absolute path, following links.
    pub(super) async fn has_path(&self, path: &str) -> Result<bool, EngineError> {
        let found = self.look_up(path).await.map_err(|error| refused("look into the container", &error))?;
        Ok(found.is_some())
    }

    /// Returns the mode of what is at an absolute path, if there is something.
    pub(super) async fn mode(&self, path: &str) -> Result<Option<u32>, EngineError> {
        let found = self.look_up(path).await.map_err(|error| refused("look into the container", &error))?;
        Ok(found.map(|stat| stat.file_mode))
    }

    /// Runs a second command in the container, as its user, and returns the exit code and the output.
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
            // A partial secret would not be masked.
            said.truncate(memchr::memrchr(b'\n', &said).unwrap_or(0));
        }
        let code = self.docker.inspect_exec(&id).await?.exit_code;
        Ok((code.unwrap_or(UNKNOWN_EXIT_CODE), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Waits for the container to exit. It has been started, so "not running" means that it has exited.
    pub(super) async fn exit_code(&self) -> Result<i64, EngineError> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let mut answers = self.docker.wait_container(&self.id, Some(options));
        let unknown = |reason| EngineError::UnknownExitCode { reason };
        match answers.next().await {
            // The engine also returns a code if it could not wait: 0, or one that no command can have.
            Some(Ok(ContainerWaitResponse { error: Some(ContainerWaitExitError { message }), .. })) => {
                Err(unknown(message.unwrap_or_else(|| "it gave no reason".into())))
            }
            Some(Ok(answer)) if answer.status_code < 0 => {
                Err(unknown(format!("it answered {}, which is not an exit code", answer.status_code)))
            }
            Some(Ok(answer)) => Ok(answer.status_code),
            // The client treats every code except 0 as an error.
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
            // It has exited by itself in the meantime.
            Err(error) if matches!(status_of(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(refused("kill the container", &error)),
        }
    }

    /// Kills everything that still runs, and waits until nothing does.
    pub(super) async fn end(&self) -> Result<(), EngineError> {
        self.kill().await?;
        match tokio::time::timeout(DEATH_WITHIN, self.exit_code()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => {
                let reason = format!("it did not end within {} s of being killed", DEATH_WITHIN.as_secs());
                Err(EngineError::Refused { doing: "stop the container", reason })
            }
        }
    }

    /// Waits for a container that was told to exit. If it does not, it is removed anyway.
    pub(super) async fn wait_until_gone(&self) {
        drop(tokio::time::timeout(GONE_WITHIN, self.exit_code()).await);
    }

    /// Returns a time after that of every file an image of ours contains, in seconds since 1970. By the engine's clock, which may not
    /// agree with ours. In whole seconds, because an image has no others.
    pub(super) async fn time_after_its_files(&self) -> Result<i64, EngineError> {
        let inspected = self.docker.inspect_container(&self.id, None).await;
        let inspected = inspected.map_err(|error| refused("look up the container", &error))?;
        let created = inspected.created.as_deref().and_then(image::seconds).unwrap_or_else(clock::seconds_now);
        Ok(created.max(self.image.created.saturating_add(1)))
    }

    /// Removes the container, running or not.
    pub(super) async fn remove(self) {
        // A container that could not be removed is found again by its label when the run closes.
        if let Some(problem) = reap::remove_container(&self.docker, &self.id).await {
            tracing::debug!(problem, "a container stays for now");
        }
    }
}

/// Whether the engine gave up on a path because its links do not end.
fn is_endless_link(error: &Error) -> bool {
    let said = reason(error);
    status_of(error).is_some()
        && (said.contains("too many links") || said.contains("too many levels of symbolic links"))
}
