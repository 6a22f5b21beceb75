//! A Kubernetes cluster of our own: real programs in a sandbox, made for one run of the tests and gone with it.
//!
//! Nothing here knows what the tests do. They find everything by the variables of `environment`.

mod access;
mod addresses;
mod build;
mod cluster;
mod faults;
mod node;
mod registry;
mod service;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use self::cluster::Cluster;
use crate::agent::{self, Architecture};
use crate::test::Part;
use crate::{footprint, packages, sandbox, test, tools};

/// The tests that need a cluster have this in their names.
const TESTS: &str = "kubernetes";
/// And those that break what the others use have this.
const TESTS_THAT_BREAK_IT: &str = "faulty_kubernetes";
/// The tests are those of the engine, with the runner.
const SCOPE: [&str; 4] = ["--package", "pipelens-engine", "--features", "kubernetes"];
/// What tells test runners how many tests run at once. Most of the time they wait for a kubelet.
const THREADS: [&str; 2] = ["NEXTEST_TEST_THREADS", "RUST_TEST_THREADS"];
const AT_ONCE: &str = "6";
/// The cluster's folder. Its path is short because a socket's path has at most 108 bytes; `/tmp` is the sandbox's own.
const FOLDER: &str = "/tmp/cluster";
/// Names the socket on which faults are asked for.
const SOCKET: &str = "PIPELENS_TEST_KUBERNETES_SOCKET";

/// Whether a call of `test` is about the cluster.
pub(crate) fn is_wanted(filters: &[String]) -> bool {
    filters.first().is_some_and(|filter| filter == TESTS)
}

/// Runs the tests that need a cluster, or those of them whose names contain a filter.
pub(crate) fn test(filters: &[String], nodes: u8) -> Result<()> {
    prepare()?;
    agent::build(Architecture::own())?;
    println!("Building the tests");
    tools::run("cargo", ["fetch", "--locked"])?;
    tools::run("cargo", ["build", "--tests", "--locked"].iter().chain(&SCOPE))?;
    let mut arguments = vec!["inside-cluster-test".into(), "--nodes".into(), nodes.to_string().into()];
    arguments.extend(filters.iter().map(OsString::from));
    ensure!(sandbox::run(&arguments)?.success(), "tests failed");
    Ok(())
}

/// Measures what runs cost, on three nodes.
pub(crate) fn measure() -> Result<()> {
    agent::build(Architecture::own())?;
    let program =
        tools::executable("cluster", ["bench", "--locked", "--bench", "cluster", "--no-run"].iter().chain(&SCOPE))?;
    cluster(&["env".into(), "-C".into(), "server/pipelens-engine".into(), program.into()], 3)
}

/// Runs a command beside a cluster.
pub(crate) fn cluster(command: &[OsString], nodes: u8) -> Result<()> {
    prepare()?;
    let options = ["inside-cluster".into(), "--nodes".into(), nodes.to_string().into(), "--".into()];
    let arguments: Vec<OsString> = options.into_iter().chain(command.iter().cloned()).collect();
    ensure!(sandbox::run(&arguments)?.success(), "the command failed");
    Ok(())
}

/// What `test` does inside the sandbox. Returns whether all tests passed.
pub(crate) fn inside_test(filters: &[String], nodes: u8) -> Result<bool> {
    with_cluster(nodes, |environment| {
        let run = |part: Part| {
            let Some(mut tests) = test::narrowed(&part, filters, &SCOPE)? else { return Ok(true) };
            for variable in THREADS.iter().filter(|variable| std::env::var_os(variable).is_none()) {
                tests.env(variable, AT_ONCE);
            }
            tests.envs(environment.iter().map(|(name, value)| (name, value)));
            test::finish(tests.env("PIPELENS_REQUIRE_KUBERNETES", "1").env("PIPELENS_REQUIRE_DOCKER", "1"))
        };
        let beside_others = run(Part { with: TESTS, without: Some(TESTS_THAT_BREAK_IT), is_alone: false })?;
        println!("The tests that break the cluster, one after another");
        Ok(run(Part { with: TESTS_THAT_BREAK_IT, without: None, is_alone: true })? && beside_others)
    })
}

/// What `cluster` does inside the sandbox. Returns whether the command succeeded.
pub(crate) fn inside(command: &[OsString], nodes: u8) -> Result<bool> {
    let (program, arguments) = command.split_first().context("no command is named")?;
    with_cluster(nodes, |environment| {
        let status = Command::new(program).args(arguments).envs(environment).status();
        Ok(status.with_context(|| format!("cannot start {}", program.display()))?.success())
    })
}

/// The first process of a node: what `ClusterNode` does.
pub(crate) fn node(folder: &Path) -> Result<()> {
    node::init(folder)
}

pub(crate) fn fault(words: &[String]) -> Result<()> {
    faults::ask(words)
}

fn prepare() -> Result<()> {
    sandbox::prepare(&[packages::DOCKER.as_slice(), &packages::TESTS, &packages::KUBERNETES].concat())?;
    build::prepare()
}

/// Does something beside a running cluster. The end of the sandbox is the end of the cluster.
fn with_cluster(nodes: u8, job: impl FnOnce(Vec<(&'static str, OsString)>) -> Result<bool>) -> Result<bool> {
    let cluster = Cluster::start(nodes)?;
    let layout = cluster.layout().clone();
    let environment = environment(&layout, cluster.docker_host())?;
    let cluster = Arc::new(Mutex::new(cluster));
    faults::serve(Arc::clone(&cluster), &layout)?;
    job(environment)
}

/// Returns the variables by which the tests find the cluster.
fn environment(layout: &Layout, docker_host: String) -> Result<Vec<(&'static str, OsString)>> {
    let fault = layout.file("fault");
    let program = std::env::current_exe()?;
    fs::write(&fault, format!("#!/bin/sh\nexec '{}' cluster-fault \"$@\"\n", program.display()))?;
    fs::set_permissions(&fault, fs::Permissions::from_mode(0o755))?;
    Ok(vec![
        ("PIPELENS_TEST_KUBERNETES", layout.kubeconfig("runner").into()),
        ("PIPELENS_TEST_KUBERNETES_ADMIN", layout.kubeconfig("admin").into()),
        ("PIPELENS_TEST_KUBERNETES_REGISTRY", format!("{}/{}", addresses::registry(), registry::PREFIX).into()),
        ("PIPELENS_TEST_KUBERNETES_FAULT", fault.into()),
        ("PIPELENS_TEST_KUBERNETES_DATA", layout.file("").into()),
        (SOCKET, layout.faults().into()),
        ("PIPELENS_AGENTS", agent::folder()?.into()),
        ("DOCKER_CONFIG", layout.docker_config().into()),
        ("PIPELENS_TEST_DOCKER_HOST", docker_host.into()),
    ])
}

/// Where the files of the cluster are. Tests look for secrets in all of them.
#[derive(Debug, Clone)]
struct Layout {
    folder: PathBuf,
}

impl Layout {
    fn create() -> Result<Self> {
        let layout = Self { folder: FOLDER.into() };
        ensure!(!layout.folder.exists(), "there is a cluster in this sandbox already");
        for folder in [layout.logs(), layout.folder.join("kubeconfigs")] {
            fs::create_dir_all(folder)?;
        }
        Ok(layout)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn logs(&self) -> PathBuf {
        self.file("logs")
    }

    fn etcd(&self) -> PathBuf {
        self.file("etcd")
    }

    fn registry(&self) -> PathBuf {
        self.file("registry")
    }

    fn node(&self, number: u8) -> PathBuf {
        self.file(&format!("node{number}"))
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join("kubeconfigs").join(user)
    }

    fn docker_config(&self) -> PathBuf {
        self.file("docker-config")
    }

    fn tokens(&self) -> PathBuf {
        self.file("tokens.csv")
    }

    fn audit_policy(&self) -> PathBuf {
        self.file("audit-policy.json")
    }

    fn certificates(&self) -> PathBuf {
        self.file("certificates")
    }

    /// The API server signs itself.
    fn api_certificate(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }

    fn service_account_key(&self) -> PathBuf {
        self.file("service-accounts.key")
    }

    fn faults(&self) -> PathBuf {
        self.file("faults.sock")
    }

    /// The control group of all containers on the nodes: one that no other sandbox has, and that goes with this one.
    fn control_group(&self) -> String {
        format!("/pipelens-{}", std::env::var(footprint::MARK).unwrap_or_default())
    }

    /// A client with all rights.
    fn kubectl(&self) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(self.kubeconfig("admin")).arg("--request-timeout=20s");
        kubectl
    }
}

/// Asks again and again.
fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !is_so()? {
        if deadline < Instant::now() {
            bail!("waited {} seconds until {what}, in vain", limit.as_secs());
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}
