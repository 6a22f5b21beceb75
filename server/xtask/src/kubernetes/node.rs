//! A node: namespaces of its own for processes, mounts and the network, with a Docker daemon and a kubelet.
//! The end of its first process is a loss of power.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{WaitOptions, wait};
use serde_json::json;

use super::addresses::{self, BRIDGE, HOST};
use super::service::{Service, only_child};
use super::{Layout, build, wait_until};
use crate::tools;

const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// A node is lost after three of these have been missed, see the controller manager's settings.
const HEARTBEAT_SECONDS: u32 = 2;
const START_DEADLINE: Duration = Duration::from_secs(120);
/// Said when a node's folders are in place.
const PREPARED: &str = "prepared";
pub(crate) const PAUSE_IMAGE: &str = "pause:latest";

pub(crate) struct Node {
    number: u8,
    layout: Layout,
    /// The process that waits for the node's first process.
    process: Option<Child>,
    pub(crate) dockerd: Service,
    pub(crate) kubelet: Service,
}

impl Node {
    /// Starts the node with its Docker daemon. The kubelet needs the cluster, and is started later.
    pub(crate) fn start(number: u8, layout: &Layout) -> Result<Self> {
        let name = name(number);
        let folder = layout.node(number);
        for part in ["var/lib", "var/log", "var/cache", "var/tmp", "docker", "kubelet"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let kubelet = serde_json::to_vec_pretty(&kubelet_settings(&folder))?;
        fs::write(folder.join("kubelet.json"), kubelet)?;
        fs::write(folder.join("runc"), RUNC)?;
        fs::set_permissions(folder.join("runc"), Permissions::from_mode(0o755))?;
        let process = unshare(number, &folder)?;
        let first = only_child(process.id()).context("the node has no process")?;
        let mut node = Self {
            number,
            layout: layout.clone(),
            process: Some(process),
            dockerd: Service::entered(&format!("{name}/dockerd"), &layout.logs(), dockerd(first, number, layout))?,
            kubelet: Service::entered(
                &format!("{name}/kubelet"),
                &layout.logs(),
                kubelet_program(first, number, layout)?,
            )?,
        };
        connect(number, first)?;
        node.dockerd.start()?;
        Ok(node)
    }

    pub(crate) fn name(&self) -> String {
        name(self.number)
    }

    pub(crate) fn wait_for_docker(&mut self) -> Result<()> {
        let logs = self.layout.logs();
        let host = self.docker_host();
        wait_until("dockerd answers", START_DEADLINE, || {
            self.dockerd.check(&logs)?;
            let version = Command::new("docker").args(["--host", &host, "version"]).output()?;
            Ok(version.status.success())
        })
    }

    /// Brings the image of the containers that hold pods together: a node has it before it can pull anything.
    pub(crate) fn import_pause(&self, archive: &Path) -> Result<()> {
        let entry_point = r#"ENTRYPOINT ["/bin/busybox", "sleep", "99999999"]"#;
        let mut import = Command::new("docker");
        import.args(["--host", &self.docker_host(), "import", "-c", entry_point]);
        tools::run_command(import.arg(archive).arg(PAUSE_IMAGE).stdout(Stdio::null()))
    }

    /// Takes the power away from everything on the node at once.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        let mut process = self.process.take().with_context(|| format!("{} is off already", self.name()))?;
        // Its end takes the node's first process along, and that all others.
        process.kill()?;
        process.wait()?;
        self.dockerd.stop().ok();
        self.kubelet.stop().ok();
        Ok(())
    }

    /// Starts the node again over what it has on its disk.
    pub(crate) fn power_on(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} is on already", self.name());
        *self = Self::start(self.number, &self.layout)?;
        self.wait_for_docker()?;
        self.kubelet.start()
    }

    /// The node's link to everything else goes down, or up again; what is on the node goes on.
    pub(crate) fn set_link(&self, state: &str) -> Result<()> {
        tools::run("ip", ["link", "set", &self.name(), state])
    }

    fn docker_host(&self) -> String {
        format!("unix://{}", self.layout.node(self.number).join("docker.sock").display())
    }
}

fn name(number: u8) -> String {
    format!("node{number}")
}

/// Starts a node's first process and waits until its folders are in place.
fn unshare(number: u8, folder: &Path) -> Result<Child> {
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).arg("--").arg(std::env::current_exe()?).arg("cluster-node").arg(folder);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start unshare")?;
    let mut said = String::new();
    let output = process.stdout.take().context("it has no output")?;
    BufReader::new(output).read_line(&mut said)?;
    ensure!(said.trim() == PREPARED, "{} cannot be started", name(number));
    Ok(process)
}

/// What a node's first process does: its `/var` and `/run` are its own; then it waits for whatever ends on the node.
pub(crate) fn init(folder: &Path) -> Result<()> {
    let link = folder.join("var/run");
    if !link.is_symlink() {
        std::os::unix::fs::symlink("/run", link)?;
    }
    tools::run_command(Command::new("mount").arg("--bind").arg(folder.join("var")).arg("/var"))?;
    tools::run_command(Command::new("mount").args(["-t", "tmpfs", "none", "/run"]))?;
    tools::run_command(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    // There is always something to wait for.
    let mut forever = Command::new("sleep").arg("infinity").spawn()?;
    let mut output = std::io::stdout();
    writeln!(output, "{PREPARED}")?;
    output.flush()?;
    while forever.try_wait().is_ok_and(|ended| ended.is_none()) && wait(WaitOptions::empty()).is_ok() {}
    Ok(())
}

/// Connects a node to the bridge, and to the pods of other nodes.
fn connect(number: u8, first: u32) -> Result<()> {
    let name = name(number);
    let inner = format!("link add {name} type veth peer name eth0 netns {first}\nlink set {name} master {BRIDGE} up\n");
    batch(Command::new("ip"), &inner)?;
    let route = format!("route replace {} via {}\n", addresses::pods(number), addresses::node(number));
    batch(Command::new("ip"), &route)?;
    let mut lines =
        format!("addr add {}/24 dev eth0\nlink set eth0 up\nroute add default via {HOST}\n", addresses::node(number));
    for other in (1..=addresses::MAXIMUM_NODES).filter(|other| *other != number) {
        lines += &format!("route add {} via {}\n", addresses::pods(other), addresses::node(other));
    }
    let mut entered = Command::new("nsenter");
    entered.args(["--net", "--target", &first.to_string(), "ip"]);
    batch(entered, &lines)
}

fn batch(mut command: Command, lines: &str) -> Result<()> {
    let mut process = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("cannot start ip")?;
    process.stdin.take().context("ip has no input")?.write_all(lines.as_bytes())?;
    ensure!(process.wait()?.success(), "cannot set up the network: {lines}");
    Ok(())
}

/// A command that starts a program on a node whose first process is `first`.
fn on_node(first: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &first.to_string(), "--net", "--mount", "--pid", "--"]).arg(program);
    command
}

fn dockerd(first: u32, number: u8, layout: &Layout) -> Command {
    let folder = layout.node(number);
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = on_node(first, "dockerd");
    command
        .args(["--data-root", &path("docker"), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid"])
        .args(["--host", &format!("unix://{}", path("docker.sock"))])
        .args(["--bip", &addresses::docker_bridge(number), "--ip-masq=false", "--iptables=false", "--ip6tables=false"])
        .args(["--insecure-registry", addresses::NETWORK])
        .args(["--cgroup-parent", &format!("{}/{}", layout.control_group(), name(number))])
        .args(["--add-runtime", &format!("cluster={}", path("runc")), "--default-runtime", "cluster"]);
    command
}

/// Negative scores need a capability that a container's root may lack.
const RUNC: &str = r#"#!/bin/sh
previous=
for argument in "$@"; do
    if [ "$previous" = --bundle ] && [ -f "$argument/config.json" ]; then
        sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$argument/config.json"
    fi
    previous=$argument
done
exec runc "$@"
"#;

fn kubelet_program(first: u32, number: u8, layout: &Layout) -> Result<Command> {
    let folder = layout.node(number);
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = on_node(first, build::program("kubelet")?);
    command
        .arg(format!("--config={}", path("kubelet.json")))
        .arg(format!("--kubeconfig={}", layout.kubeconfig(&name(number)).display()))
        .arg(format!("--hostname-override={}", name(number)))
        .arg(format!("--node-ip={}", addresses::node(number)))
        .arg(format!("--root-dir={}", path("kubelet")))
        .arg(format!("--cert-dir={}", path("pki")))
        .args(["--container-runtime=docker", &format!("--docker-endpoint=unix://{}", path("docker.sock"))])
        .arg(format!("--pod-infra-container-image={PAUSE_IMAGE}"))
        .arg("--v=2")
        // The benchmark needs to know when the kubelet checks its containers.
        .arg("--vmodule=generic=5");
    Ok(command)
}

fn kubelet_settings(folder: &Path) -> serde_json::Value {
    let plugins: PathBuf = folder.join("plugins");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "readOnlyPort": 0,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "resolvConf": "",
        "makeIPTablesUtilChains": false,
        // The machine's own memory and disk are not the tests' subject.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": format!("{HEARTBEAT_SECONDS}s"),
        // A status that has not changed; that the node is there is said by its lease.
        "nodeStatusReportFrequency": "1m",
        "nodeLeaseDurationSeconds": 4 * HEARTBEAT_SECONDS,
        "volumePluginDir": plugins,
    })
}

/// Makes the archive of the image that holds pods together.
pub(crate) fn pause_archive(folder: &Path, busybox: &Path) -> Result<PathBuf> {
    let root = folder.join("pause");
    fs::create_dir_all(root.join("bin"))?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    let archive = folder.join("pause.tar");
    let output = File::create(&archive)?;
    tools::run_command(Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).stdout(output))?;
    Ok(archive)
}
