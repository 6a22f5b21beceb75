//! A program of the cluster that runs until it is stopped, and may be started again.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) struct Service {
    name: String,
    command: Command,
    process: Option<Child>,
    /// Whether the process that was started only waits for the program, as `nsenter` does outside of the program's namespace.
    has_parent: bool,
}

impl Service {
    /// Describes a program of this namespace; its log is below `logs` and grows from start to start.
    pub(crate) fn new(name: &str, logs: &Path, command: Command) -> Result<Self> {
        Self::described(name, logs, command, false)
    }

    /// Describes a program that `nsenter` starts.
    pub(crate) fn entered(name: &str, logs: &Path, command: Command) -> Result<Self> {
        Self::described(name, logs, command, true)
    }

    fn described(name: &str, logs: &Path, mut command: Command, has_parent: bool) -> Result<Self> {
        let log =
            File::options().create(true).append(true).open(logs.join(format!("{}.log", name.replace('/', "-"))))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { name: name.to_owned(), command, process: None, has_parent })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running()?, "{} is running already", self.name);
        self.process = Some(self.command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        Ok(())
    }

    /// Kills the program, as running out of memory would.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let numbers = self.numbers()?;
        for number in numbers.iter().rev() {
            kill_process(*number, Signal::KILL).with_context(|| format!("cannot kill {}", self.name))?;
        }
        if let Some(mut process) = self.process.take() {
            process.wait()?;
        }
        Ok(())
    }

    /// The program does nothing more, and its connections stay open.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub(crate) fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Returns an error with the end of the log if the program has ended.
    pub(crate) fn check(&mut self, logs: &Path) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let log = fs::read_to_string(logs.join(format!("{}.log", self.name.replace('/', "-")))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
        bail!("{} has ended:\n  {}", self.name, tail.join("\n  "));
    }

    /// Returns the process number of the program itself.
    pub(crate) fn number(&mut self) -> Result<u32> {
        Ok(self.numbers()?.last().map(|number| number.as_raw_nonzero().get().unsigned_abs()).unwrap_or_default())
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(match &mut self.process {
            Some(process) => process.try_wait()?.is_none(),
            None => false,
        })
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // `nsenter` stops when the program does, and goes on only if it is told to.
        for number in self.numbers()? {
            kill_process(number, signal).with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }

    /// Returns the process that was started and, if that only waits for the program, the program.
    fn numbers(&mut self) -> Result<Vec<Pid>> {
        ensure!(self.is_running()?, "{} is not running", self.name);
        let started = self.process.as_ref().map(Child::id).unwrap_or_default();
        let program = if self.has_parent { only_child(started) } else { None };
        Ok([Some(started), program].into_iter().flatten().filter_map(pid).collect())
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// Returns the first process that another has started.
pub(crate) fn only_child(parent: u32) -> Option<u32> {
    let line = format!("PPid:\t{parent}");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|number| {
        let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        status.lines().any(|it| it == line)
    })
}
