//! Languages with one usual tool each.

use std::path::Path;

use super::step::{Kind, Part, Start};
use crate::cli::init::project::{Folder, shell_word};
use crate::cli::init::versions;

fn has_test(folder: Folder<'_>, endings: &[&str]) -> bool {
    let mut files = folder.files().filter_map(Path::to_str).filter(|file| !file.contains("node_modules/"));
    files.any(|file| endings.iter().any(|ending| file.ends_with(ending)))
}

pub(super) fn deno(folder: Folder<'_>) -> Option<Kind> {
    let manifest = folder.text(folder.first(&["deno.json", "deno.jsonc"])?).unwrap_or_default();
    let tasks = manifest.split_once("\"tasks\"").map(|(_, tasks)| tasks.split('}').next().unwrap_or_default());
    let has_task = |name: &str| tasks.is_some_and(|tasks| tasks.contains(&format!("\"{name}\"")));
    let task = |name: &str| has_task(name).then(|| format!("deno task {name}"));
    let has_sources = has_test(folder, &[".ts", ".tsx", ".js", ".jsx", ".mjs", ".mts"]);
    let lint = task("lint").or_else(|| has_sources.then(|| "deno lint".to_owned()));
    let tests = ["_test.ts", ".test.ts", "_test.tsx", ".test.tsx", "_test.js", ".test.js", "/test.ts"];
    let test = task("test").or_else(|| has_test(folder, &tests).then(|| "deno test".to_owned()));
    let mut commands = [("lint", lint), ("build", task("build")), ("test", test)].into_iter();
    let (first, command) =
        commands.find_map(|(key, command)| Some((key, command?))).unwrap_or(("check", "deno --version".to_owned()));
    let mut parts = vec![Part::root(first, "denoland/deno:2.5.0", vec![command])];
    parts.extend(commands.filter_map(|(key, command)| Some(Part::then(key, first, command?))));
    Some(Kind::new("a Deno project", folder, parts))
}

pub(super) fn dotnet(folder: Folder<'_>) -> Option<Kind> {
    let of = |endings: &[&str]| folder.names().find(|name| endings.iter().any(|ending| name.ends_with(ending)));
    let project = of(&[".sln", ".slnx"]).or_else(|| of(&[".csproj", ".fsproj", ".vbproj"]))?;
    let sdk = folder.text("global.json").and_then(|text| {
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        json.get("sdk")?.get("version")?.as_str().map(str::to_owned)
    });
    let project_files =
        folder.files().filter(|file| file.extension().is_some_and(|ending| ending == "csproj" || ending == "fsproj"));
    let frameworks = project_files.filter_map(|file| folder.text(file)).collect::<String>();
    let newest =
        ["10.0", "9.0", "8.0", "7.0", "6.0"].into_iter().find(|version| frameworks.contains(&format!("net{version}")));
    let stated = sdk.and_then(|sdk| {
        let mut parts = sdk.split('.');
        versions::plain(&format!("{}.{}", parts.next()?, parts.next()?))
    });
    let image = format!("mcr.microsoft.com/dotnet/sdk:{}", stated.as_deref().or(newest).unwrap_or("9.0"));
    let project = shell_word(project);
    Some(Kind::new(
        "a .NET project",
        folder,
        vec![
            Part::root("build", image, vec![format!("dotnet build {project}")]).reuses_last(),
            Part::then("test", "build", format!("dotnet test {project} --no-build")),
        ]
        .into_iter()
        .map(|part| part.mounts(&["~/.nuget/packages"]))
        .collect(),
    ))
}

pub(super) fn ruby(folder: Folder<'_>) -> Option<Kind> {
    let gems = folder.text("Gemfile")?;
    let locked = folder.text("Gemfile.lock").unwrap_or_default();
    let specification: String =
        folder.names().filter(|name| name.ends_with(".gemspec")).filter_map(|name| folder.text(name)).collect();
    let uses = |gem: &str| {
        let quoted = [format!("'{gem}'"), format!("\"{gem}\"")];
        quoted.iter().any(|gem| gems.contains(gem) || specification.contains(gem))
            || locked.contains(&format!("    {gem} ("))
    };
    let in_gems = gems.lines().find_map(|line| {
        let line = line.trim().strip_prefix("ruby ")?;
        versions::plain(line.trim_matches(|character: char| "\"'~>= ".contains(character)))
    });
    let version = folder.version_in(".ruby-version", "ruby");
    let version = version.and_then(|version| versions::plain(version.trim_start_matches("ruby-"))).or(in_gems);
    let rules =
        folder.text(folder.first(&["Rakefile", "rakefile", "Rakefile.rb"]).unwrap_or("Rakefile")).unwrap_or_default();
    let has_rake = !rules.is_empty() && uses("rake");
    let test = if folder.has("bin/rails") && folder.has_folder("test") {
        Some("bundle exec rails test".to_owned())
    } else if uses("rspec") || uses("rspec-rails") {
        folder.has_folder("spec").then(|| "bundle exec rspec".to_owned())
    } else if has_rake && rules.contains("default") {
        Some("bundle exec rake".to_owned())
    } else if has_rake && rules.contains("TestTask") {
        Some("bundle exec rake test".to_owned())
    } else if folder.has_folder("test") {
        Some(
            r#"bundle exec ruby -Ilib -Itest -e 'Dir["./test/**/{test_*,*_test}.rb"].each { |file| require file }'"#
                .to_owned(),
        )
    } else {
        None
    };
    let lint = (folder.has(".rubocop.yml") && uses("rubocop")).then(|| "bundle exec rubocop".to_owned());
    let image = format!("ruby:{}", version.as_deref().unwrap_or("3.4"));
    let files = ["Gemfile", "Gemfile.lock"].into_iter().filter(|file| folder.has(file)).map(str::to_owned).collect();
    let install = Part::root("deps", image, vec!["bundle install".to_owned()]);
    let install = if specification.is_empty() { install.cached_by(files) } else { install };
    let checks = [("lint", lint), ("test", test)].into_iter();
    let checks = checks.filter_map(|(key, command)| Some(Part::then(key, "deps", command?)));
    // Next to the sources, so that a run on the host leaves the machine's gems alone.
    let parts = [install].into_iter().chain(checks).map(|part| part.env("BUNDLE_PATH", "vendor/bundle"));
    Some(Kind::new("a Ruby project", folder, parts.collect()))
}

pub(super) fn php(folder: Folder<'_>) -> Option<Kind> {
    let manifest = folder.text("composer.json")?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
    let requires = |package: &str| {
        ["require", "require-dev"].iter().any(|key| manifest.get(key).and_then(|list| list.get(package)).is_some())
    };
    let has_script = |name: &str| manifest.get("scripts").and_then(|scripts| scripts.get(name)).is_some();
    let is_configured = folder.first(&["phpunit.xml", "phpunit.xml.dist", "phpunit.dist.xml"]).is_some();
    let test = if has_script("test") {
        Some("composer run-script test")
    } else if requires("pestphp/pest") {
        Some("vendor/bin/pest")
    } else if requires("phpunit/phpunit") && is_configured {
        Some("vendor/bin/phpunit")
    } else if requires("phpunit/phpunit") && folder.has_folder("tests") {
        Some("vendor/bin/phpunit tests")
    } else {
        None
    };
    let install = Part::root("deps", "composer:2.8", vec!["composer install --no-interaction".to_owned()]);
    let parts = [install].into_iter().chain(test.map(|test| Part::then("test", "deps", test)));
    Some(Kind::new("a Composer project", folder, parts.collect()))
}

pub(super) fn elixir(folder: Folder<'_>) -> Option<Kind> {
    folder.has("mix.exs").then(|| {
        let commands = ["mix local.hex --force", "mix local.rebar --force", "mix deps.get", "mix compile"];
        let build = Part::root("build", "elixir:1.18", commands.map(str::to_owned).to_vec());
        let has_tests = folder.has_folder("test") || folder.has_folder("apps");
        let test = has_tests.then(|| Part::then("test", "build", "mix test"));
        let parts = [build].into_iter().chain(test).map(|part| part.mounts(&["deps", "_build"]));
        Kind::new("a Mix project", folder, parts.collect())
    })
}

pub(super) fn swift(folder: Folder<'_>) -> Option<Kind> {
    folder.has("Package.swift").then(|| {
        let build = Part::root("build", "swift:6.1", vec!["swift build".to_owned()]);
        let test = folder.has_folder("Tests").then(|| Part::then("test", "build", "swift test"));
        let parts = [build].into_iter().chain(test).map(|part| part.mounts(&[".build"]));
        Kind::new("a Swift package", folder, parts.collect())
    })
}

pub(super) fn zig(folder: Folder<'_>) -> Option<Kind> {
    let rules = folder.text("build.zig")?;
    let commands =
        ["python3 -m venv .zig", ".zig/bin/python -m pip install ziglang", ".zig/bin/python -m ziglang build"];
    let build = Part::root("build", "python:3.13", commands.map(str::to_owned).to_vec())
        .comment("Zig has no image of its own; write `ziglang==VERSION` if the project needs a certain version.");
    let test = rules.contains("\"test\"").then(|| Part::then("test", "build", ".zig/bin/python -m ziglang build test"));
    Some(Kind::new("a Zig project", folder, [build].into_iter().chain(test).collect()))
}

/// Builds the image. That takes an engine, which a step in a container has none of.
pub(super) fn dockerfile(folder: Folder<'_>) -> Option<Kind> {
    let file = folder.first(&["Dockerfile", "Containerfile"])?;
    let command = if file == "Dockerfile" { "docker build ." } else { "docker build --file Containerfile ." };
    let build = Part::new("build", Start::Host, vec![command.to_owned()])
        .comment("Only this machine can build an image, so this step runs on it: `pipelens run --allow-host-runner`.");
    Some(Kind::new("a Dockerfile", folder, vec![build]))
}

/// A .NET solution or project contains what is below it, and so do a Deno workspace and a Mix umbrella.
pub(super) fn covers(_: Folder<'_>, _: &Path) -> bool {
    true
}
