//! The whole cluster: its control plane, which runs beside the tests, its nodes and its registry.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::addresses::{self, BRIDGE, HOST};
use super::node::{self, Node};
use super::registry::{self, Credentials};
use super::service::Service;
use super::{Layout, access, build, wait_until};
use crate::docker::Daemon;
use crate::docker::release::Choice;
use crate::{packages, tools};

const API_DEADLINE: Duration = Duration::from_secs(120);
const READY_DEADLINE: Duration = Duration::from_secs(180);
/// A cluster with nine nodes has about a thousand, threads included.
const MAXIMUM_PROCESSES: &str = "8192";
/// How long a node is silent before it counts as lost, and how long its pods are kept after that. A machine that is busy keeps the first.
const SILENCE_SECONDS: u32 = 12;
const TOLERATION_SECONDS: u32 = 5;

pub(crate) struct Cluster {
    layout: Layout,
    /// In the order in which they start: etcd, the API server, the scheduler, the controller manager, the registry.
    services: Vec<Service>,
    nodes: Vec<Node>,
    /// The tests' own Docker daemon, which belongs to no node.
    daemon: Daemon,
}

impl Cluster {
    /// Starts everything, and returns when all nodes are ready. Prints what takes how long.
    pub(crate) fn start(nodes: u8) -> Result<Self> {
        ensure!(
            (1..=addresses::MAXIMUM_NODES).contains(&nodes),
            "a cluster has 1 to {} nodes",
            addresses::MAXIMUM_NODES
        );
        let layout = Layout::create()?;
        let mut phases = Phases::new();
        limit_processes(&layout);
        add_bridge()?;
        access::write(&layout, nodes)?;
        let credentials = Credentials;
        credentials.write(&layout)?;
        let mut services = control_plane(&layout)?;
        services.push(registry::service(&layout)?);
        let waits_for_api = ["scheduler", "controller-manager"];
        for service in services.iter_mut().filter(|service| !waits_for_api.contains(&service.name())) {
            service.start()?;
        }
        let nodes = (1..=nodes).map(|number| Node::start(number, &layout)).collect::<Result<Vec<_>>>()?;
        let daemon = Daemon::start(Choice::default())?;
        let mut cluster = Self { layout, services, nodes, daemon };
        phases.end("a Docker daemon with the tests' images");
        cluster.fill_registry()?;
        phases.end("the images are in the registry");
        cluster.wait_for_api()?;
        access::apply(&cluster.layout, &credentials)?;
        phases.end("the API server answers");
        cluster.prepare_nodes()?;
        phases.end("the nodes' Docker daemons answer");
        for service in cluster.services.iter_mut().filter(|service| waits_for_api.contains(&service.name())) {
            service.start()?;
        }
        for node in &mut cluster.nodes {
            node.kubelet.start()?;
        }
        cluster.wait_for_nodes()?;
        phases.end("all nodes are ready");
        phases.total(cluster.nodes.len());
        Ok(cluster)
    }

    pub(crate) fn docker_host(&self) -> String {
        self.daemon.host()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns every program that can be stopped and started, of the nodes as well.
    pub(crate) fn services(&mut self) -> impl Iterator<Item = &mut Service> {
        let of_nodes = self.nodes.iter_mut().flat_map(|node| [&mut node.dockerd, &mut node.kubelet]);
        self.services.iter_mut().chain(of_nodes)
    }

    pub(crate) fn node(&mut self, name: &str) -> Result<&mut Node> {
        let node = self.nodes.iter_mut().find(|node| node.name() == name);
        node.with_context(|| format!("there is no node `{name}`"))
    }

    fn service(&mut self, name: &str) -> Result<&mut Service> {
        let service = self.services.iter_mut().find(|service| service.name() == name);
        service.with_context(|| format!("there is no `{name}`"))
    }

    fn fill_registry(&mut self) -> Result<()> {
        let layout = self.layout.clone();
        registry::wait(self.service("registry")?, &layout)?;
        let count = registry::push_images(&self.daemon.host(), &layout)?;
        ensure!(count > 0, "there are no images of the tests");
        Ok(())
    }

    fn wait_for_api(&mut self) -> Result<()> {
        let layout = self.layout.clone();
        wait_until("the API server answers", API_DEADLINE, || {
            for name in ["etcd", "apiserver"] {
                self.service(name)?.check(&layout.logs())?;
            }
            Ok(layout.api_certificate().exists() && is_ready(&layout)?)
        })
    }

    fn prepare_nodes(&mut self) -> Result<()> {
        let busybox = packages::static_busybox().context("there is no static busybox")?;
        let archive = node::pause_archive(&self.layout.file(""), &busybox)?;
        for node in &mut self.nodes {
            node.wait_for_docker()?;
            node.import_pause(&archive)?;
        }
        Ok(())
    }

    fn wait_for_nodes(&mut self) -> Result<()> {
        let layout = self.layout.clone();
        let wanted = self.nodes.len();
        wait_until("all nodes are ready", READY_DEADLINE, || {
            for service in self.services() {
                service.check(&layout.logs())?;
            }
            let listed = layout.kubectl().args(["get", "nodes", "--no-headers"]).output()?;
            let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
            let ready = lines.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready"));
            Ok(ready.count() == wanted && !has_taints(&layout)?)
        })
    }
}

/// Whether the API server answers and has done what it does at its start.
pub(crate) fn is_ready(layout: &Layout) -> Result<bool> {
    let answer = layout.kubectl().args(["get", "--raw", "/readyz"]).output().context("cannot start kubectl")?;
    Ok(answer.status.success())
}

/// A node that was not ready is not used until the controller manager has looked again.
fn has_taints(layout: &Layout) -> Result<bool> {
    let taints =
        layout.kubectl().args(["get", "nodes", "--output", "jsonpath={.items[*].spec.taints[*].key}"]).output()?;
    Ok(!taints.status.success() || !taints.stdout.is_empty())
}

/// Limits the processes of the cluster and of all that runs beside it, where the machine can: a test that makes too many of them fails, and the
/// machine goes on.
fn limit_processes(layout: &Layout) {
    for hierarchy in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
        let group = Path::new(hierarchy).join(layout.control_group().trim_start_matches('/'));
        let own = group.join("programs");
        if fs::exists(Path::new(hierarchy).join("cgroup.procs")).is_ok_and(|exists| exists) {
            fs::create_dir_all(&own).ok();
            fs::write(group.join("pids.max"), MAXIMUM_PROCESSES).ok();
            fs::write(own.join("cgroup.procs"), "0").ok();
            return;
        }
    }
}

fn add_bridge() -> Result<()> {
    tools::run("ip", ["link", "add", BRIDGE, "type", "bridge"])?;
    tools::run("ip", ["address", "add", &format!("{HOST}/24"), "dev", BRIDGE])?;
    tools::run("ip", ["link", "set", BRIDGE, "up"])
}

fn control_plane(layout: &Layout) -> Result<Vec<Service>> {
    let service = |name: &str, command: Command| Service::new(name, &layout.logs(), command);
    let etcd = {
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(layout.etcd())
            .args(["--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379"])
            .args(["--listen-peer-urls", "http://127.0.0.1:2380"]);
        command
    };
    let api = {
        let mut command = Command::new(build::program("kube-apiserver")?);
        let key = layout.service_account_key();
        command
            .arg("--etcd-servers=http://127.0.0.1:2379")
            .arg(format!("--secure-port={}", addresses::API_PORT))
            .arg(format!("--bind-address={HOST}"))
            .arg(format!("--advertise-address={HOST}"))
            .arg(format!("--cert-dir={}", layout.certificates().display()))
            .arg(format!("--token-auth-file={}", layout.tokens().display()))
            .arg("--authorization-mode=Node,RBAC")
            .arg("--enable-admission-plugins=NodeRestriction")
            .arg("--kubelet-preferred-address-types=InternalIP")
            .arg("--service-account-issuer=https://cluster")
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-cluster-ip-range={}", addresses::SERVICES))
            .arg(format!("--default-not-ready-toleration-seconds={TOLERATION_SECONDS}"))
            .arg(format!("--default-unreachable-toleration-seconds={TOLERATION_SECONDS}"))
            .arg(format!("--audit-policy-file={}", layout.audit_policy().display()))
            .arg(format!("--audit-log-path={}", layout.logs().join("audit.log").display()));
        command
    };
    let scheduler = {
        let mut command = Command::new(build::program("kube-scheduler")?);
        command
            .arg(format!("--kubeconfig={}", layout.kubeconfig("scheduler").display()))
            .args(["--leader-elect=false", "--port=0"]);
        command
    };
    let controllers = {
        let mut command = Command::new(build::program("kube-controller-manager")?);
        command
            .arg(format!("--kubeconfig={}", layout.kubeconfig("controller-manager").display()))
            .arg(format!("--service-account-private-key-file={}", layout.service_account_key().display()))
            .arg(format!("--root-ca-file={}", layout.api_certificate().display()))
            .args([
                "--leader-elect=false",
                "--port=0",
                "--enable-hostpath-provisioner=true",
                "--node-monitor-period=1s",
            ])
            .arg(format!("--node-monitor-grace-period={SILENCE_SECONDS}s"))
            // As many lost nodes as there are, at once.
            .arg("--node-eviction-rate=10");
        command
    };
    fs::create_dir_all(layout.etcd())?;
    // The disk of a busy machine would make everything wait.
    tools::run_command(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(layout.etcd()))?;
    fs::set_permissions(layout.etcd(), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(vec![
        service("etcd", etcd)?,
        service("apiserver", api)?,
        service("scheduler", scheduler)?,
        service("controller-manager", controllers)?,
    ])
}

/// Says what took how long.
struct Phases {
    begun: Instant,
    phase: Instant,
}

impl Phases {
    fn new() -> Self {
        println!("Starting a Kubernetes cluster");
        let now = Instant::now();
        Self { begun: now, phase: now }
    }

    fn end(&mut self, what: &str) {
        println!("  {:5.1} s: {what}", self.phase.elapsed().as_secs_f64());
        self.phase = Instant::now();
    }

    fn total(&self, nodes: usize) {
        println!("  {:5.1} s until a cluster with {nodes} nodes could be used", self.begun.elapsed().as_secs_f64());
    }
}
