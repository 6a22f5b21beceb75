//! The processes of the container: which of them a step started, and how all of those are ended.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::peer::parent_in;

/// How long processes may take to die. A process that waits for a broken disk never does.
const DEATH_WITHIN: Duration = Duration::from_secs(20);
/// The same if none of them may be signalled, as after `sudo`.
const EXIT_WITHIN: Duration = Duration::from_secs(1);
/// How often processes are killed one by one, before all are stopped first: a fork bomb makes new ones in between.
const PLAIN_ROUNDS: u32 = 3;
/// So many at once are a fork bomb, or may be: they are stopped first.
const MANY: usize = 50;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The agent's own number.
const FIRST: i32 = 1;

/// Returns every process that descends from the agent, including zombies. A process that was started from
/// outside, by an exec, has no ancestor in the container, and so none of its descendants is a step's.
pub(super) fn of_steps() -> Vec<i32> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: HashMap<i32, i32> = numbers
        .filter_map(|number| {
            let stat = std::fs::read(format!("/proc/{number}/stat")).ok()?;
            Some((number, parent_in(&stat)?))
        })
        .collect();
    let mut found: Vec<i32> = parents.keys().copied().filter(|number| is_of_step(*number, &parents)).collect();
    found.sort_unstable();
    found
}

fn is_of_step(process: i32, parents: &HashMap<i32, i32>) -> bool {
    let mut ancestor = process;
    // A number may be used again while the list is made, so there could be a circle.
    for _ in 0..=parents.len() {
        match parents.get(&ancestor) {
            Some(0) => return false,
            Some(&FIRST) => return true,
            Some(parent) => ancestor = *parent,
            // The parent has just exited, so the agent inherits it.
            None => return true,
        }
    }
    true
}

/// Sends a signal to everything that steps started.
pub(super) fn signal_all(signal: Signal) {
    for process in of_steps() {
        // It may have exited, or belong to another user.
        kill(Pid::from_raw(process), signal).ok();
    }
}

/// Kills everything that steps started, again and again until nothing is left. Returns whether that is so.
pub(super) fn kill_all() -> bool {
    let began = Instant::now();
    let mut pause = Duration::from_micros(200);
    for round in 0.. {
        let processes = of_steps();
        let is_plain = round < PLAIN_ROUNDS && processes.len() < MANY;
        let found = if is_plain { kill_each(&processes) } else { stop_and_kill() };
        let limit = match found {
            Found::None => return true,
            Found::Killed => DEATH_WITHIN,
            Found::Untouchable => EXIT_WITHIN,
        };
        if began.elapsed() > limit {
            return false;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
    false
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    None,
    Killed,
    /// None of them may be signalled.
    Untouchable,
}

fn kill_each(processes: &[i32]) -> Found {
    if processes.is_empty() {
        return Found::None;
    }
    let killed = processes.iter().filter(|process| kill(Pid::from_raw(**process), Signal::SIGKILL).is_ok()).count();
    if killed > 0 { Found::Killed } else { Found::Untouchable }
}

/// Stops every process of the container at the same moment, which no fork escapes, kills those of steps, and lets the others continue.
fn stop_and_kill() -> Found {
    let everything = Pid::from_raw(-1);
    kill(everything, Signal::SIGSTOP).ok();
    let found = kill_each(&of_steps());
    kill(everything, Signal::SIGCONT).ok();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_descends_from_an_exec_is_no_steps() {
        let parents = HashMap::from([(1, 0), (7, 1), (8, 7), (20, 0), (21, 20), (30, 29), (40, 41), (41, 40)]);
        let of_steps = |process| is_of_step(process, &parents);
        assert_eq!([7, 8, 20, 21, 30, 40].map(of_steps), [true, true, false, false, true, true]);
    }
}
