//! What a person needs to know when something does not work: versions, places, what answered and what did not. For the command line and the editor.

use std::fmt::Write as _;
use std::path::Path;

use pipelens_engine::limits;
use pipelens_engine::run::STATE_DIR_VARIABLE;
use pipelens_engine::survey::{EngineSurvey, cache_registry_answers, engine};
use pipelens_engine::{private, programs};
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::{present, project};

/// Below this, runs may end because the disk is full.
const LITTLE_SPACE_BYTES: u64 = 1 << 30;
/// Programs that are used if they are there.
const PROGRAMS: [(&str, &str); 3] = [
    ("shellcheck", "checks commands while you type"),
    ("ssh", "reaches engines on other machines"),
    ("docker", "opens shells in failed steps"),
];

/// What was found.
#[derive(Debug)]
pub(crate) struct Findings {
    facts: Vec<Fact>,
    pub(crate) has_trouble: bool,
}

/// One line of the report.
#[derive(Debug)]
struct Fact {
    mark: Mark,
    about: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    /// Something is missing that can be done without.
    Note,
    Trouble,
}

/// Looks at everything. Asks only engines, through them the registry in the settings, and the cluster in the settings with its registry. Starts no
/// program, except those by which the user's own configuration logs in to the cluster and its registry.
pub(crate) async fn examine(settings: &Settings, client: Option<&str>) -> Findings {
    let mut facts = vec![Fact {
        mark: Mark::Good,
        about: "version",
        text: format!("pipelens {} on {}/{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH),
    }];
    facts.extend(client.map(|text| Fact { mark: Mark::Good, about: "editor", text: text.to_owned() }));
    facts.push(user_settings());
    facts.extend(state());
    let survey = engine(settings.docker_host.as_deref()).await;
    let is_needless = settings.runner.0.name() != "docker";
    facts.extend(engines(&survey, is_needless));
    facts.extend(cache_registry(settings, survey.found.is_some()).await);
    let cluster = cluster(settings).await;
    let has_cluster = !cluster.is_empty() && cluster.iter().all(|fact| fact.mark == Mark::Good);
    facts.extend(cluster);
    facts.extend(runners(settings, survey.found.is_some(), has_cluster));
    facts.extend(PROGRAMS.iter().map(|(name, what)| program(name, what)));
    let has_trouble = facts.iter().any(|fact| fact.mark == Mark::Trouble);
    Findings { facts, has_trouble }
}

impl Findings {
    /// Returns the report for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Fact { mark, about, text: fact } in &self.facts {
            let mark = match mark {
                Mark::Good => "✓",
                Mark::Note => "·",
                Mark::Trouble => "✗",
            };
            // If it does not fit on a line, what follows is indented.
            writeln!(text, "{mark} {about:<9} {}", fact.replace('\n', "\n            ")).ok();
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let facts = self.facts.iter().map(|fact| {
            let state = match fact.mark {
                Mark::Good => "good",
                Mark::Note => "note",
                Mark::Trouble => "trouble",
            };
            json!({"about": fact.about, "state": state, "text": fact.text})
        });
        json!({"facts": facts.collect::<Vec<_>>(), "hasTrouble": self.has_trouble})
    }
}

async fn cache_registry(settings: &Settings, has_engine: bool) -> Option<Fact> {
    let about = "registry";
    let repository = settings.cache_registry.as_deref().filter(|repository| !repository.is_empty())?;
    if !project::is_repository(repository) {
        return Some(Fact { mark: Mark::Trouble, about, text: project::not_a_repository(repository) });
    }
    if !has_engine {
        return Some(Fact {
            mark: Mark::Note,
            about,
            text: format!("{repository} was not asked, because no engine answers"),
        });
    }
    Some(match cache_registry_answers(settings.docker_host.as_deref(), repository).await {
        Ok(()) => Fact { mark: Mark::Good, about, text: format!("{repository} answers") },
        Err(why) => Fact {
            mark: Mark::Trouble,
            about,
            text: format!(
                "{repository} cannot be read: {why}. A login that only a credential helper knows was not tried"
            ),
        },
    })
}

fn user_settings() -> Fact {
    let about = "settings";
    let Some(file) = Settings::user_file() else {
        return Fact { mark: Mark::Note, about, text: "this user has no folder for settings".to_owned() };
    };
    let shown = file.display();
    match Settings::of_user() {
        Ok(_) if file.exists() => Fact { mark: Mark::Good, about, text: format!("{shown}") },
        Ok(_) => Fact { mark: Mark::Good, about, text: format!("{shown} does not exist; the defaults are used") },
        Err(error) => Fact { mark: Mark::Trouble, about, text: format!("{error:#}") },
    }
}

/// Where logs and results are kept, and whether there is room.
fn state() -> Vec<Fact> {
    let about = "state";
    let folder = match project::state_dir() {
        Ok(folder) => folder,
        Err(error) => return vec![Fact { mark: Mark::Trouble, about, text: format!("{error:#}") }],
    };
    let shown = folder.display();
    let usable = private::create_folder(&folder).and_then(|()| tempfile::tempfile_in(&folder));
    let writable = match usable {
        Ok(_) => Fact { mark: Mark::Good, about, text: format!("{shown}") },
        Err(error) => Fact {
            mark: Mark::Trouble,
            about,
            text: format!("{shown} cannot be used: {error}. Set `{STATE_DIR_VARIABLE}` to another folder"),
        },
    };
    let temporary = std::env::temp_dir();
    let disks = [("logs and results", folder.as_path()), ("temporary files", temporary.as_path())];
    std::iter::once(writable).chain(disks.into_iter().filter_map(|(what, folder)| disk(what, folder))).collect()
}

fn disk(what: &str, folder: &Path) -> Option<Fact> {
    let free = limits::free(folder)?;
    let mark = if free < LITTLE_SPACE_BYTES { Mark::Trouble } else { Mark::Good };
    let text = format!("{} free for {what} in {}", present::bytes(free), folder.display());
    Some(Fact { mark, about: "disk", text })
}

fn engines(survey: &EngineSurvey, is_needless: bool) -> Vec<Fact> {
    let about = "engine";
    let mut facts = Vec::new();
    for place in &survey.tried {
        let text = format!("{} ({}): {}", place.address, place.from, place.answer);
        facts.push(Fact { mark: Mark::Note, about, text });
    }
    facts.push(match &survey.found {
        Some(found) => {
            let unknown = || "unknown".to_owned();
            let mut text = format!(
                "{} ({}): version {}, API {}, {}",
                found.address,
                found.from,
                found.version.clone().unwrap_or_else(unknown),
                found.api_version.clone().unwrap_or_else(unknown),
                found.platform.clone().unwrap_or_else(unknown),
            );
            if let Some(cpus) = found.cpus {
                text += &format!(", {} CPUs", cpus);
            }
            if let Some(bytes) = found.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
                text += &format!(", {} of memory", present::bytes(bytes));
            }
            if found.is_remote {
                text.push_str(", on another machine");
            }
            Fact { mark: Mark::Good, about, text }
        }
        None => Fact {
            mark: if is_needless { Mark::Note } else { Mark::Trouble },
            about,
            text: format!(
                "no container engine answered. Start Docker (or a compatible engine), or set `DOCKER_HOST` to its address. {}",
                present::WITHOUT_ENGINE
            ),
        },
    });
    facts
}

/// Looks at the cluster, if one is set, or steps are to run in one.
#[cfg(feature = "kubernetes")]
async fn cluster(settings: &Settings) -> Vec<Fact> {
    let about = "cluster";
    let Some(cluster) = settings.engines().cluster else {
        let text =
            "no registry is set, so no step can run in a cluster. Set `kubernetes.registry`: see docs/kubernetes.md";
        let is_wanted = settings.runner.0.name() == "kubernetes" || settings.allow_kubernetes_runner;
        let fact = Fact { mark: Mark::Trouble, about, text: text.to_owned() };
        return is_wanted.then_some(fact).into_iter().collect();
    };
    let found = pipelens_engine::survey::cluster(&cluster).await.into_iter();
    let mark = |is_good| if is_good { Mark::Good } else { Mark::Trouble };
    found.map(|fact| Fact { mark: mark(fact.is_good), about, text: fact.text }).collect()
}

#[cfg(not(feature = "kubernetes"))]
async fn cluster(_: &Settings) -> Vec<Fact> {
    Vec::new()
}

fn runners(settings: &Settings, has_engine: bool, has_cluster: bool) -> Vec<Fact> {
    let name = settings.runner.0.name();
    let usable = match name {
        "host" => true,
        "kubernetes" => has_cluster,
        _ => has_engine,
    };
    let mark = if usable { Mark::Good } else { Mark::Trouble };
    let default = Fact { mark, about: "runner", text: format!("steps that name none use `{name}`") };
    let may = if name == "host" || settings.allow_host_runner { "may" } else { "may not, unless you allow it," };
    let text = format!("steps {may} run directly on this machine with `runner: host`, {}", isolation(settings));
    vec![default, Fact { mark: Mark::Good, about: "host", text }]
}

/// Returns whether steps on this machine get a view of their own.
fn isolation(settings: &Settings) -> &'static str {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let has_namespaces = limit.trim().parse::<u64>().is_ok_and(|most| most > 0);
    match (settings.host_isolation, has_namespaces) {
        (false, _) => "without a view of their own (`hostIsolation` is off)",
        (true, true) => "each with its own view of files and processes, if the kernel lets this user have one",
        (true, false) => "without a view of their own: this system has no user namespaces",
    }
}

fn program(name: &'static str, what: &str) -> Fact {
    let found = programs::find(name, &[]);
    let mark = if found.is_some() { Mark::Good } else { Mark::Note };
    let place = found.map_or_else(|| "not on the `PATH`".to_owned(), |path| path.display().to_string());
    Fact { mark, about: "program", text: format!("{name}: {place} ({what})") }
}
