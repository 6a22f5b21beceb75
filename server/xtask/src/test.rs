//! Every test, with everything it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::docker::Daemon;
use crate::docker::release::Choice;
use crate::packages::{self, Program};
use crate::{footprint, harmont, interrupts, sandbox, tools, workbench};

/// The Neovims the plugin is tested in: the oldest that is supported, and the newest; each by the Debian suite that has it.
const NEOVIMS: [&str; 2] = ["trixie", "forky"];
/// Signs the packages of every suite. Only Debian has it.
const DEBIANS_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Runs every test, or those whose names contain a filter; if a version of Docker is chosen, only those of the engine.
/// The test runner's summary is the last thing printed.
pub(crate) fn test(filters: &[String], choice: Choice) -> Result<()> {
    let missing = missing_programs();
    check_prerequisites(&missing)?;
    let (neovims, without_workbench) = while_building(|| {
        packages::unpack(&missing)?;
        choice.unpack()?;
        let neovims = if choice.is_made() { Vec::new() } else { neovims()? };
        if !choice.is_made() && workbench::is_wanted(filters) {
            workbench::prepare()?;
        }
        let without_workbench = if is_all(filters, choice) { workbench::prepare().err() } else { None };
        let left_out = if choice.is_made() { Vec::new() } else { harmont::prepare()? };
        if !left_out.is_empty() {
            println!("The tests that need {} are left out: this will not be a full pass", left_out.join(", "));
        }
        Ok((neovims, without_workbench))
    })?;
    let mut arguments = vec![OsString::from("inside-test")];
    arguments.extend(choice.options());
    if let Some(error) = without_workbench {
        arguments.extend(["--without-workbench".into(), format!("{error:#}").into()]);
    }
    arguments.push(env::join_paths(neovims)?);
    arguments.extend(filters.iter().map(OsString::from));
    if !sandbox::run(&arguments)?.success() {
        bail!("tests failed");
    }
    Ok(())
}

/// Whether these are all tests, which include those in the workbench of VS Code.
fn is_all(filters: &[String], choice: Choice) -> bool {
    filters.is_empty() && !choice.is_made()
}

/// What `test` does inside the sandbox. Returns whether all tests passed.
pub(crate) fn inside(
    neovims: &str,
    filters: &[String],
    choice: Choice,
    without_workbench: Option<&str>,
) -> Result<bool> {
    let daemon = Daemon::start(choice)?;
    let scope = if choice.is_made() { ["--package", "pipelens-engine"].as_slice() } else { &["--workspace"] };
    let prepared = |mut tests: Command| -> Result<Command> {
        tests
            .env("PATH", choice.path()?)
            .env("PIPELENS_TEST_DOCKER_HOST", daemon.host())
            .env("PIPELENS_REQUIRE_DOCKER", "1")
            .env("PIPELENS_TEST_NVIM", neovims)
            .env("PIPELENS_REQUIRE_NVIM", "1")
            .env("PIPELENS_REQUIRE_STRACE", "1");
        if !choice.is_made() {
            tests.envs(harmont::environment()?);
        }
        Ok(tests)
    };
    let has_all = is_all(filters, choice);
    let workbench = if has_all { in_workbench(&prepared, without_workbench)? } else { Some(true) };
    let mut tests = prepared(runner(filters, scope))?;
    if has_all {
        // They have run already, or cannot run here.
        tests.args(["--", "--skip", workbench::TESTS]);
    } else if !choice.is_made() && workbench::is_wanted(filters) {
        tests.envs(workbench::environment()?);
    }
    let succeeded = finish(&mut tests)?;
    if workbench.is_none() {
        println!("Skipped: the tests in the workbench of VS Code (the reason is above)");
    }
    // Says nothing unless something is wrong, so that the summary stays last.
    drop(daemon);
    if workbench == Some(false) {
        bail!("tests failed in the workbench of VS Code: see above");
    }
    Ok(succeeded)
}

/// Uses the extension in the workbench, before all other tests: it is slow if the machine does something else. Each stage is printed.
/// Returns whether all stages passed, or nothing if they cannot run here.
fn in_workbench(prepared: &dyn Fn(Command) -> Result<Command>, without: Option<&str>) -> Result<Option<bool>> {
    if let Some(reason) = without {
        println!("Skipped: the tests in the workbench of VS Code ({reason})");
        return Ok(None);
    }
    println!("Using the extension in the workbench of VS Code");
    // All of the workspace, as it has been built.
    let mut tests = prepared(runner(&[workbench::TESTS.to_owned()], &["--workspace"]))?;
    tests.envs(workbench::environment()?);
    // One after another.
    tests.args(if has_nextest() { ["--no-capture"].as_slice() } else { &["--", "--nocapture", "--test-threads=1"] });
    Ok(Some(tests.status().context("cannot start the tests")?.success()))
}

/// Runs the tests that need neither root nor a container engine. The last line says how many were left out.
pub(crate) fn without_engine(filters: &[String]) -> Result<()> {
    let neovims = neovims_without_root()?;
    if tools::find("git").is_none() {
        bail!("git is missing");
    }
    let missing = packages::names(&packages::missing(&packages::TESTS_WITHOUT_ENGINE));
    if !missing.is_empty() {
        println!("Missing: {missing}. The tests that need them are left out");
    }
    while_building(harmont::prepare)?;
    let _interrupts = interrupts::outlive()?;
    // Not below the target directory: that is in a git repository, and a project ends where its repository does.
    let scratch = tempfile::Builder::new().prefix("pipelens-").tempdir()?;
    let home = scratch.path().join("home");
    let skipped = scratch.path().join("skipped");
    let mut tests = runner(filters, &["--workspace"]);
    tests.envs(tools::environment_with_home(&home)).env("TMPDIR", scratch.path());
    tests.env(footprint::MARK, footprint::mark()).env("PIPELENS_SKIPPED", &skipped);
    for (_, folder) in tools::HOME_FOLDERS {
        fs::create_dir_all(home.join(folder))?;
    }
    for variable in
        ["TEST_DOCKER_HOST", "REQUIRE_DOCKER", "REQUIRE_NVIM", "REQUIRE_STRACE", "TEST_WORKBENCH", "REQUIRE_WORKBENCH"]
    {
        tests.env_remove(format!("PIPELENS_{variable}"));
    }
    tests.env("PIPELENS_TEST_NVIM", env::join_paths(neovims)?).envs(harmont::environment()?);
    let totals = follow(&mut tests)?;
    let left_out = LeftOut::read(&skipped);
    // A test may have left a folder that its owner cannot open, which only root could remove.
    Command::new("chmod").args(["-R", "u+rwx"]).arg(scratch.path()).status().ok();
    scratch.close().context("cannot remove the tests' folder")?;
    if !totals.has_succeeded {
        println!("{} passed, {}", totals.passed.saturating_sub(left_out.tests), left_out.words());
        bail!("tests failed");
    }
    println!("{} passed, {}: this is not a full pass", totals.passed.saturating_sub(left_out.tests), left_out.words());
    Ok(())
}

/// Fails before the build, in one sentence, if there is something the tests need that cannot be had.
fn check_prerequisites(missing: &[Program]) -> Result<()> {
    let mut reasons = Vec::new();
    if let Err(error) = sandbox::check() {
        reasons.push(format!("{error:#}"));
    }
    if !missing.is_empty() && !packages::can_unpack() {
        reasons.push(format!("{} cannot be found, and there is no apt-get to get them with", packages::names(missing)));
    }
    if !has_neovims() {
        reasons.push("Neovim cannot be found (PIPELENS_TEST_NVIM can name one)".to_owned());
    }
    if !reasons.is_empty() {
        bail!("{}; `cargo xtask test --no-engine` runs the tests that need no container engine", reasons.join("; "));
    }
    Ok(())
}

fn missing_programs() -> Vec<Program> {
    let mut programs = [packages::DOCKER.as_slice(), &packages::TESTS].concat();
    if needs_patchelf() {
        programs.push(packages::PATCHELF);
    }
    packages::missing(&programs)
}

/// Prepares something that is mostly waiting for downloads, and builds meanwhile.
fn while_building<T>(prepare: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut building = start_building()?;
    let prepared = prepare();
    if prepared.is_err() {
        // The reason is shown at once, not after minutes of building.
        building.kill().ok();
    }
    let built = building.wait();
    let prepared = prepared?;
    ensure!(built?.success(), "the tests cannot be built");
    Ok(prepared)
}

fn start_building() -> Result<Child> {
    println!("Building");
    // The tests run without a network, and some ask cargo about the workspace.
    tools::run("cargo", ["fetch", "--locked"])?;
    let mut build = tools::cargo();
    build.args(["build", "--workspace", "--all-targets", "--locked"]).current_dir(tools::root());
    build.spawn().context("cannot start cargo")
}

fn has_nextest() -> bool {
    tools::find("cargo-nextest").is_some()
}

fn runner(filters: &[String], scope: &[&str]) -> Command {
    let mut tests = tools::cargo();
    if has_nextest() {
        tests.args(["nextest", "run", "--no-fail-fast"]).args(filters);
    } else {
        tests.args(["test", "--no-fail-fast"]).args(filters.first());
    }
    tests.args(scope).arg("--locked").current_dir(tools::root());
    if std::io::stdout().is_terminal() {
        tests.env("CARGO_TERM_COLOR", "always");
    }
    tests
}

/// Some of the tests, by their names.
pub(crate) struct Part<'a> {
    /// Part of the name of each.
    pub(crate) with: &'a str,
    /// Not part of the name of any.
    pub(crate) without: Option<&'a str>,
    /// One after another.
    pub(crate) is_alone: bool,
}

/// Returns the runner of those tests in `scope` that are in `part` and whose names contain one of `filters`, if there are any. That there are
/// none is no failure.
pub(crate) fn narrowed(part: &Part, filters: &[String], scope: &[&str]) -> Result<Option<Command>> {
    let mut tests = runner(&[], scope);
    if has_nextest() {
        let mut wanted = format!("test({})", part.with);
        if let Some(word) = part.without {
            wanted += &format!(" - test({word})");
        }
        if !filters.is_empty() {
            let any: Vec<String> = filters.iter().map(|filter| format!("test({filter})")).collect();
            wanted = format!("({wanted}) & ({})", any.join(" + "));
        }
        tests.args(["--no-tests=pass", "-E", &wanted]);
    } else {
        let is_wanted = |name: &String| {
            name.contains(part.with)
                && !part.without.is_some_and(|word| name.contains(word))
                && (filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
        };
        let wanted: Vec<String> = names(scope)?.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        tests.args(["--", "--exact"]).args(wanted);
    }
    if part.is_alone {
        tests.arg("--test-threads=1");
    }
    Ok(Some(tests))
}

/// Returns the names of all tests in `scope`.
fn names(scope: &[&str]) -> Result<BTreeSet<String>> {
    let mut listing = tools::cargo();
    listing.arg("test").args(scope).args(["--locked", "--quiet", "--", "--list"]).current_dir(tools::root());
    let listed = listing.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(listed.status.success(), "the tests cannot be listed");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs the tests and returns whether all passed. A summary is the last thing printed.
pub(crate) fn finish(tests: &mut Command) -> Result<bool> {
    if has_nextest() {
        return Ok(tests.status().context("cannot start the tests")?.success());
    }
    let totals = follow(tests)?;
    println!("Total: {} passed, {} failed, {} ignored", totals.passed, totals.failed, totals.ignored);
    Ok(totals.has_succeeded)
}

/// What a test runner has counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: usize,
    failed: usize,
    ignored: usize,
    has_succeeded: bool,
}

impl Totals {
    /// Adds what a result counts.
    fn add(&mut self, result: &str) {
        let counts = result.split_once("test result: ").or_else(|| result.split_once(" run: "));
        let Some((_, counts)) = counts else { return };
        let words: Vec<&str> = counts.split([' ', ',', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let &[number, what] = pair else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "skipped" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// Runs the tests, shows what they print, and adds up what they count.
fn follow(tests: &mut Command) -> Result<Totals> {
    // Both streams in one: cargo names each program on one, and the program prints its result on the other.
    let (output, input) = std::io::pipe()?;
    let process = tests.stdout(input.try_clone()?).stderr(input).spawn();
    // The command still holds the ends that are written to; the output ends with the last of them.
    tests.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = process.context("cannot start the tests")?;
    let mut totals = Totals::default();
    let mut results = String::new();
    let mut shown = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let mut line = line?;
        let text = without_colours(&String::from_utf8_lossy(&line));
        // A test may be a program of tests in turn. The result of the outer one is the last.
        if is_result(&text) {
            results = text;
        } else if ["Running ", "Doc-tests "].iter().any(|start| text.trim_start().starts_with(start)) {
            totals.add(&std::mem::take(&mut results));
        }
        line.push(b'\n');
        shown.write_all(&line)?;
    }
    totals.add(&results);
    totals.has_succeeded = process.wait()?.success();
    Ok(totals)
}

/// Whether a line is the result of `cargo test`, or the summary of `cargo nextest`.
fn is_result(line: &str) -> bool {
    line.starts_with("test result: ") || line.contains(" tests run: ") || line.contains(" test run: ")
}

/// Tests that did not run, or only in part, by what they need.
struct LeftOut {
    tests: usize,
    needs: BTreeMap<String, usize>,
}

impl LeftOut {
    /// Reads what the tests have written, each a line: its name, a tab, and what it needs.
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        // A test that needs two things is counted under the first.
        let mut tests = BTreeMap::new();
        for line in text.lines().collect::<BTreeSet<_>>() {
            if let Some((test, need)) = line.split_once('\t') {
                tests.entry(test.to_owned()).or_insert_with(|| need.to_owned());
            }
        }
        let mut needs = BTreeMap::new();
        for need in tests.values() {
            *needs.entry(need.clone()).or_insert(0) += 1;
        }
        Self { tests: tests.len(), needs }
    }

    fn words(&self) -> String {
        if self.needs.is_empty() {
            return "those that need a container engine were not asked for".to_owned();
        }
        let needs = self.needs.iter().map(|(need, count)| format!("{count} need {need}"));
        format!("{} and were not run, or only in part", needs.collect::<Vec<_>>().join(", "))
    }
}

fn given_neovims() -> Option<Vec<PathBuf>> {
    let given = env::var_os("PIPELENS_TEST_NVIM").filter(|given| !given.is_empty())?;
    Some(env::split_paths(&given).collect())
}

fn unpacked_neovim(suite: &str) -> Result<PathBuf> {
    Ok(tools::folder()?.join(format!("nvim-{suite}")).join("nvim"))
}

fn can_unpack_neovims() -> bool {
    packages::can_unpack() && Path::new(DEBIANS_KEYS).exists()
}

fn has_neovims() -> bool {
    given_neovims().is_some() || can_unpack_neovims() || tools::find("nvim").is_some()
}

fn needs_patchelf() -> bool {
    let is_missing = |suite: &str| unpacked_neovim(suite).is_ok_and(|program| !program.exists());
    given_neovims().is_none() && can_unpack_neovims() && NEOVIMS.iter().any(|suite| is_missing(suite))
}

/// Returns the Neovims to test in: those that are named, else those of two Debian suites, else the machine's own.
fn neovims() -> Result<Vec<PathBuf>> {
    if let Some(given) = given_neovims() {
        return Ok(given);
    }
    if can_unpack_neovims() {
        return NEOVIMS.into_iter().map(neovim).collect();
    }
    Ok(tools::find("nvim").into_iter().collect())
}

fn neovims_without_root() -> Result<Vec<PathBuf>> {
    if needs_patchelf() {
        packages::unpack(&packages::missing(&[packages::PATCHELF]))?;
    }
    neovims()
}

/// Returns the Neovim of a Debian suite, unpacked below the target directory if it is not there yet.
fn neovim(suite: &str) -> Result<PathBuf> {
    let program = unpacked_neovim(suite)?;
    if !program.exists() {
        let folder = tools::folder()?.join(format!("nvim-{suite}"));
        println!("Unpacking the Neovim of Debian {suite} into {}", folder.display());
        let script = tools::root().join("server/xtask/install/neovim.sh");
        let patchelf = packages::locate(packages::PATCHELF).context("patchelf is missing")?;
        tools::run_command(Command::new(script).arg(suite).arg(&folder).env("PATCHELF", patchelf))?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_both_test_runners_are_added_up() {
        let lines = [
            "     Running unittests src/lib.rs (target/debug/deps/a-1)",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "     Running tests/it/main.rs (target/debug/deps/it-1)",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.01s",
            "test starts_itself_again ... ok",
            "test result: \x1b[31mFAILED\x1b[0m. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "   Doc-tests a",
            "error: 1 target failed:",
        ];
        let totals = follow(Command::new("printf").arg("%s\n").args(lines)).unwrap();
        assert_eq!(totals, Totals { passed: 14, failed: 1, ignored: 1, has_succeeded: true });

        let totals = follow(Command::new("printf").arg("%s\n").arg("\x1b[32;1m     Summary\x1b[0m [  12.345s] \x1b[1m540\x1b[0m tests run: \x1b[1m538\x1b[0m \x1b[32;1mpassed\x1b[0m (2 slow), \x1b[1m2\x1b[0m failed, 7 skipped")).unwrap();
        assert_eq!(totals, Totals { passed: 538, failed: 2, ignored: 7, has_succeeded: true });
    }

    #[test]
    fn a_test_that_was_left_out_twice_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skipped");
        fs::write(&file, "a\ta container engine\nb\tstrace\na\ta container engine\nc\ta container engine\n").unwrap();
        let left_out = LeftOut::read(&file);
        assert_eq!(left_out.tests, 3);
        assert_eq!(left_out.words(), "2 need a container engine, 1 need strace and were not run, or only in part");
    }
}
