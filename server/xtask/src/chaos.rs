//! Runs that are killed at random moments, in every way a run can be, while their sources are edited: no outcome may say success wrongly,
//! every step sees a file whole, no artifact is lost, and after the next start nothing of ours may be left in the engine.

mod judge;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::docker::Daemon;
use crate::docker::release::Choice;
use crate::{packages, sandbox, tools};

pub(crate) const RUNS: u64 = 200;
/// An undisturbed run of the graph takes about this long; it is disturbed at any moment of it.
const LONGEST_WAIT: Duration = Duration::from_millis(3_000);
/// A run that has not ended this long after its disturbance hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Nineteen steps: a line, a fork with a cached step, a fan, a service beside one of them, a barrier, and an end that needs them; what
/// is made of a file that is edited, cached and not; an image that declares volumes. Steps say what is in that file, each line once.
const GRAPH: &str = r#"default_image: pipelens-test/busybox
steps:
  - {key: a, cmd: "sleep 0.2; echo a >> trail; echo end a"}
  - {key: b, builds_in: a, cmd: "sleep 0.1; echo b >> trail; echo end b"}
  - {key: c, builds_in: b, cmd: "sleep 0.1; echo c >> trail; echo end c"}
  - {key: d, builds_in: b, cmd: "sleep 0.2; echo d >> trail; echo end d", cache: {policy: forever}, artifacts: [trail]}
  - {key: e, builds_in: c, cmd: "sleep 0.1; echo e >> trail; echo end e"}
  - {key: f, cmd: "trap '' TERM; sleep 0.3; echo version $(sort -u version); echo end f"}
  - key: g
    cmd: "wget -qO- http://web:8080/; sleep 0.1; echo end g"
    timeout_seconds: 60
    runner_args: {services: {web: {image: pipelens-test/web, ready: 8080}}}
  - key: m
    cmd: "sleep 0.1; cp version made; sleep 0.1; echo made $(sort -u made); echo end m"
    cache: {policy: on_change, paths: [version]}
    artifacts: [made]
  - {key: n, builds_in: m, cmd: "echo made $(sort -u made); echo version $(sort -u version); echo end n"}
  - key: o
    image: pipelens-test/volumes
    cmd: "echo o > /data/o; cp /data/o kept; echo version $(sort -u version); echo end o"
    cache: {policy: forever}
    artifacts: [kept]
  - {key: p, builds_in: o, image: pipelens-test/volumes, cmd: "grep -q o /data/o; echo version $(sort -u version); echo end p"}
  - key: q
    matrix: {n: [1, 2]}
    cmd: |
      id=$(cat /proc/sys/kernel/random/uuid)
      echo $id >held/by; sleep 0.1
      test "$(cat held/by)" = $id || exit 9
      echo "end q ($MATRIX_N)"
    cache_mounts: [{path: held, sharing: locked}]
  - {key: r, cmd: "echo r >> many/log; sleep 0.1; tail -n 1 many/log | grep -q r; echo end r", cache_mounts: [many]}
  - {key: h, cmd: "sleep 0.2; echo h >> trail; echo end h", depends_on: [f, g]}
  - wait
  - {key: i, builds_in: e, cmd: "grep -q e trail; sleep 0.1; echo end i"}
  - {key: j, builds_in: d, cmd: "grep -q d trail; sleep 0.1; echo end j"}
  - {key: k, builds_in: h, cmd: "sleep 0.1; echo end k", cache: {policy: ttl, duration_seconds: 3600}}
  - {key: l, builds_in: i, cmd: "test \"$(cat trail | tr -d '\\n')\" = abce; echo end l", depends_on: [j, k]}
"#;
const STEPS: usize = 19;
/// The label of a cache mount's volume.
const CACHE_MOUNT: &str = "dev.pipelens.mount=";
/// The lines of the file that is edited, all the same: enough for more than one write.
const LINES: usize = 20_000;
/// So many that the steps start from an image of them.
const SOURCES: usize = 300;
/// It needs the lock that the run before may have held.
const NEXT_START: &str = "default_image: pipelens-test/busybox
steps:
  - {key: next, cmd: ls held, cache_mounts: [{path: held, sharing: locked}], timeout_seconds: 60}
";

/// How a run is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Interrupt,
    Terminate,
    Kill,
    DaemonStopped,
}

impl Disturbance {
    const ALL: [Self; 4] = [Self::Interrupt, Self::Terminate, Self::Kill, Self::DaemonStopped];

    fn signal(self) -> Option<&'static str> {
        match self {
            Self::Interrupt => Some("-INT"),
            Self::Terminate => Some("-TERM"),
            Self::Kill => Some("-KILL"),
            Self::DaemonStopped => None,
        }
    }
}

/// Kills as many runs as wanted; the seed repeats the ways and moments, as far as the machine does.
pub(crate) fn chaos(runs: u64, seed: Option<u64>) -> Result<()> {
    sandbox::prepare(&packages::DOCKER)?;
    tools::run("cargo", ["build", "--locked", "--package", "pipelens"])?;
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let arguments = [OsString::from("inside-chaos"), runs.to_string().into(), seed.to_string().into()];
    ensure!(sandbox::run(&arguments)?.success(), "a run did not end as it should");
    Ok(())
}

/// What `chaos` does inside the sandbox.
pub(crate) fn inside(runs: u64, seed: u64) -> Result<()> {
    println!("{runs} runs, seed {seed}");
    let mut arena = Arena::new()?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut endings = std::collections::BTreeMap::new();
    for run in 0..runs {
        let disturbance = random.choice(Disturbance::ALL).context("there are disturbances")?;
        let wait = LONGEST_WAIT.mul_f64(random.f64());
        let edit = wait.mul_f64(random.f64());
        let ending = arena
            .disturb(disturbance, edit, wait, random.u8(..3) == 0)
            .with_context(|| format!("run {run}: {disturbance:?} after {wait:?} (seed {seed})"))?;
        *endings.entry(format!("{disturbance:?}, {ending}")).or_insert(0_u64) += 1;
    }
    arena.clean()?;
    for (ending, count) in endings {
        println!("{count:>5}  {ending}");
    }
    println!("{runs} runs: no wrong success, no file in part, no artifact lost, nothing left over");
    Ok(())
}

struct Arena {
    daemon: Daemon,
    binary: PathBuf,
    folder: tempfile::TempDir,
    /// What is in the file that is edited.
    version: u64,
}

/// A run that was started: its process, and what it says.
struct Started {
    process: Child,
    events: JoinHandle<Vec<Value>>,
}

impl Arena {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("project"))?;
        for (name, text) in [("graph.yml", GRAPH), ("next.yml", NEXT_START)] {
            std::fs::write(folder.path().join("project").join(name), text)?;
        }
        for index in 0..SOURCES {
            std::fs::write(folder.path().join(format!("project/{index}.txt")), index.to_string())?;
        }
        let binary = tools::built("debug")?;
        let mut arena = Self { daemon: Daemon::start(Choice::default())?, binary, folder, version: 0 };
        arena.edit()?;
        Ok(arena)
    }

    /// Replaces a file of the project, as an editor does that never leaves half a file.
    fn edit(&mut self) -> Result<()> {
        self.version += 1;
        let (draft, file) = (self.folder.path().join("draft"), self.folder.path().join("project/version"));
        std::fs::write(&draft, format!("{}\n", self.version).repeat(LINES))?;
        Ok(std::fs::rename(draft, file)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.folder.path().join("project"))
            .env("PIPELENS_STATE_DIR", self.folder.path().join("state"))
            .env("DOCKER_HOST", self.daemon.host());
        command
    }

    fn start(&self, is_cached: bool) -> Result<Started> {
        let mut arguments = vec!["run", "graph.yml", "--format", "json"];
        if !is_cached {
            arguments.push("--no-cache");
        }
        let mut process = self.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = process.stdout.take().context("the output is piped")?;
        let events = std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
        });
        Ok(Started { process, events })
    }

    /// Disturbs one run, and looks at what it said and what it left. Returns how it ended.
    fn disturb(&mut self, disturbance: Disturbance, edit: Duration, wait: Duration, is_cached: bool) -> Result<String> {
        let mut started = self.start(is_cached)?;
        std::thread::sleep(edit);
        self.edit()?;
        std::thread::sleep(wait.saturating_sub(edit));
        match disturbance.signal() {
            Some(signal) => tools::run("kill", [signal, &started.process.id().to_string()]).or_else(|error| {
                // It may have ended by itself a moment ago; its number is ours until it is waited for.
                started.process.try_wait()?.map(drop).ok_or(error)
            })?,
            None => self.daemon.pause()?,
        }
        let status = ended(&mut started.process)?;
        let events = started.events.join().map_err(|_| anyhow::anyhow!("the reader of events panicked"))?;
        if disturbance == Disturbance::DaemonStopped {
            self.daemon.resume()?;
        }
        let ending = judge::judge(&events, status, self.version)?;
        if matches!(disturbance, Disturbance::Interrupt | Disturbance::Terminate) {
            self.expect_nothing_left().context("right after the run")?;
        }
        let next = self.command(&["run", "next.yml"]).output()?;
        ensure!(next.status.success(), "the next run failed: {}", String::from_utf8_lossy(&next.stderr));
        self.expect_nothing_left().context("after the next start")?;
        Ok(ending)
    }

    /// What is kept for later runs may stay; it has an empty owner and an empty run.
    fn expect_nothing_left(&self) -> Result<()> {
        let containers = self.docker(&["ps", "-aq", "--filter", "label=dev.pipelens.run"])?;
        ensure!(containers.is_empty(), "containers are left: {containers}");
        let images = self.docker(&["images", "-q", "--filter", "label=dev.pipelens.owner"])?;
        for image in images.lines() {
            let owner = self.docker(&["inspect", "-f", "{{index .Config.Labels \"dev.pipelens.owner\"}}", image])?;
            ensure!(owner.is_empty(), "image {image} of {owner} is left");
        }
        // Cache mounts outlive runs.
        let volumes = self.docker(&["volume", "ls", "--format", "{{.Name}} {{.Labels}}"])?;
        let other: Vec<&str> = volumes.lines().filter(|volume| !volume.contains(CACHE_MOUNT)).collect();
        ensure!(other.is_empty(), "volumes are left: {other:?}");
        let networks = self.docker(&["network", "ls", "-q", "--filter", "type=custom"])?;
        ensure!(networks.is_empty(), "networks are left: {networks}");
        Ok(())
    }

    /// What was kept can be removed: an image the store does not know would stay.
    fn clean(&self) -> Result<()> {
        let cleaned = self.command(&["clean", "--all"]).output()?;
        ensure!(cleaned.status.success(), "clean failed: {}", String::from_utf8_lossy(&cleaned.stderr));
        let images = self.docker(&["images", "-aq", "--filter", "label=dev.pipelens.owner"])?;
        ensure!(images.is_empty(), "images that no store knows are left:\n{images}");
        let volumes = self.docker(&["volume", "ls", "-q"])?;
        ensure!(volumes.is_empty(), "volumes are left: {volumes}");
        Ok(())
    }

    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("docker").args(["--host", &self.daemon.host()]).args(arguments).output()?;
        // An image may go between the list and the question.
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() || errors.contains("No such"), "docker {arguments:?}: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn ended(process: &mut Child) -> Result<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if deadline < Instant::now() {
            process.kill()?;
            process.wait()?;
            bail!("the run did not end within {PATIENCE:?}");
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
