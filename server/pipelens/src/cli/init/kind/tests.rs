//! The steps each kind of project gets.

use super::*;

/// Returns the steps of a project as `image or parent: commands`, without the key of a kind.
fn steps(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let kinds = Kind::all_in(&Project::read(folder.path()).unwrap());
    let shown = kinds.iter().flat_map(|kind| {
        kind.parts.iter().map(|part| {
            let start = match &part.start {
                Start::Image(image) => image.as_str(),
                Start::In(_) => "-",
                Start::Host => "host",
            };
            let place = super::super::project::slashes(&kind.place);
            format!("{place}{}{start}: {}", if place.is_empty() { "" } else { " " }, part.commands.join("; "))
        })
    });
    shown.collect()
}

#[test]
fn the_rust_version_of_a_workspace_applies_to_its_packages() {
    let first = |files: &[(&str, &str)]| steps(files).swap_remove(0);
    let manifest = r#"[workspace]
members = []
[workspace.package]
rust-version = "1.88"
[package]
name = 'x'
rust-version.workspace = true
"#;
    assert_eq!(first(&[("Cargo.toml", manifest)]), "rust:1.88: cargo fetch");
    // A word in a comment or a description is not a workspace.
    let manifest = r"# [workspace]
[package]
name = 'x'
description = 'has a [workspace]'
";
    assert_eq!(first(&[("Cargo.toml", manifest)]), "rust:1.95: cargo fetch");
    assert_eq!(steps(&[("Cargo.toml", manifest)])[1], "-: cargo build --all-targets");
    let evil = "[package]\nrust-version = '1.90; curl evil'\n";
    assert_eq!(first(&[("Cargo.toml", evil)]), "rust:1.95: cargo fetch");
    for (file, text, image) in [
        ("rust-toolchain.toml", "[toolchain]\nchannel = '1.91.0'\n", "rust:1.91.0"),
        ("rust-toolchain", "1.85\n", "rust:1.85"),
        ("rust-toolchain", "nightly\n", "rust:1.95"),
    ] {
        assert_eq!(first(&[("Cargo.toml", manifest), (file, text)]), format!("{image}: cargo fetch"));
    }
}

#[test]
fn a_workspace_is_one_project_and_other_packages_have_steps_of_their_own() {
    let found = steps(&[
        ("Cargo.toml", "[workspace]\nmembers = ['crates/*']\nexclude = ['other']\n"),
        ("crates/a/Cargo.toml", "[package]\nname = 'a'\n"),
        ("other/Cargo.toml", "[package]\nname = 'other'\n"),
        ("fuzz/Cargo.toml", "[package]\nname = 'fuzz'\n"),
        ("web/package.json", r#"{"scripts": {"test": "jest"}}"#),
        ("web/node_modules/x/package.json", r#"{"scripts": {"test": "jest"}}"#),
        ("docs/requirements.txt", "sphinx\n"),
    ]);
    let starts: Vec<&str> = found.iter().filter(|step| !step.contains("-: ")).map(String::as_str).collect();
    assert_eq!(starts, ["rust:1.95: cargo fetch", "other rust:1.95: cargo fetch", "web node:24: npm install",]);
    assert_eq!(found[1], "-: cargo build --workspace --all-targets");
}

#[test]
fn npms_placeholder_is_not_a_test() {
    let placeholder = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
    assert_eq!(steps(&[("package.json", placeholder)]), ["node:24: npm install"]);
    let found =
        steps(&[("package.json", r#"{"scripts": {"build": "tsc", "test": "vitest"}}"#), ("package-lock.json", "{}")]);
    assert_eq!(found, ["node:24: npm ci", "-: npm run build", "-: npm run test"]);
}

#[test]
fn the_lock_file_chooses_the_package_manager() {
    let with = |manifest: &str, lock: (&str, &str)| steps(&[("package.json", manifest), lock]).join(" | ");
    let manifest = r#"{"scripts": {"test": "vitest"}}"#;
    for (lock, expected) in [
        (
            ("pnpm-lock.yaml", "lockfileVersion: '6.0'\n"),
            "node:24: npx --yes pnpm@8 install --frozen-lockfile | -: npx --yes pnpm@8 run test",
        ),
        (
            ("yarn.lock", "# yarn lockfile v1\n"),
            "node:24: npx --yes yarn@1 install --frozen-lockfile | -: npx --yes yarn@1 run test",
        ),
        (
            ("yarn.lock", "__metadata:\n  version: 8\n"),
            "node:24: corepack yarn@4 install --immutable | -: corepack yarn@4 run test",
        ),
        (("bun.lock", "{}"), "oven/bun:1.3: bun install --frozen-lockfile | -: bun run test"),
    ] {
        assert_eq!(with(manifest, lock), expected);
    }
    let named = r#"{"packageManager": "pnpm@9.1.0+sha512.0", "scripts": {"test": "vitest"}}"#;
    assert!(with(named, ("x", "")).contains("npx --yes pnpm@9.1.0 install | "));
}

#[test]
fn the_version_of_node_is_the_projects() {
    let image =
        |manifest: &str, file: &str, text: &str| steps(&[("package.json", manifest), (file, text)]).swap_remove(0);
    assert!(image("{}", ".nvmrc", "v20.11.1\n").starts_with("node:20.11.1: "));
    assert!(image("{}", ".nvmrc", "lts/iron\n").starts_with("node:20: "));
    assert!(image("{}", ".tool-versions", "python 3.12\nnodejs 22.3.0\n").starts_with("node:22.3.0: "));
    assert!(image(r#"{"engines": {"node": ">=18 <21"}}"#, "x", "").starts_with("node:20: "));
    assert!(image(r#"{"engines": {"node": ">=18"}}"#, "x", "").starts_with("node:24: "));
    assert!(image(r#"{"engines": {"node": "~19.3"}}"#, "x", "").starts_with("node:19: "));
}

#[test]
fn the_packages_of_a_workspace_are_built_in_the_order_of_their_dependencies() {
    let found = steps(&[
        ("package.json", r#"{"workspaces": ["packages/*"]}"#),
        (
            "packages/a/package.json",
            r#"{"name": "a", "scripts": {"build": "x", "test": "y"}, "dependencies": {"b": "*"}}"#,
        ),
        (
            "packages/b/package.json",
            r#"{"name": "b", "scripts": {"build": "x", "test": "echo no test specified; exit 1"}}"#,
        ),
        ("tools/package.json", r#"{"scripts": {"test": "z"}}"#),
    ]);
    assert_eq!(
        found,
        [
            "node:24: npm install",
            "-: npm run build --workspace=packages/b; npm run build --workspace=packages/a",
            "-: npm run test --workspace=packages/a",
            "tools node:24: npm install",
            "tools -: npm run test",
        ]
    );
}

const TEST: (&str, &str) = ("tests/test_a.py", "def test_a():\n    pass\n");

#[test]
fn pytest_is_installed_where_tests_need_it_and_nothing_else_installs_it() {
    let install = |files: &[(&str, &str)]| {
        let found = steps(&[files, &[TEST]].concat());
        assert_eq!(found.last().unwrap(), "-: .venv/bin/python -m pytest");
        let (before, rest) =
            found[0].split_once(" .venv/bin/python -m pip install ").unwrap_or_else(|| panic!("{found:?}"));
        assert!(before.starts_with("python:3.13: ") && before.contains(" python3 -m venv --clear .venv;"), "{found:?}");
        rest.split(';').next().unwrap_or_default().to_owned()
    };
    for (files, expected) in [
        (vec![("a.py", "")], "pytest"),
        (vec![("requirements.txt", "six\n")], "-r requirements.txt pytest"),
        (vec![("requirements.txt", "six\npytest-cov\n")], "-r requirements.txt pytest"),
        (vec![("requirements.txt", "pytest==8.1\n")], "-r requirements.txt"),
        (
            vec![("requirements.txt", "six\n"), ("requirements-dev.txt", "-r more.txt\n"), ("more.txt", "pytest\n")],
            "-r requirements.txt -r requirements-dev.txt",
        ),
        (
            vec![("pyproject.toml", "[tool.ruff]\n[tool.pytest.ini_options]\naddopts = '--cov'\n")],
            "pytest pytest-cov ruff",
        ),
        (
            vec![(
                "pyproject.toml",
                "[project]\nname = 'x'\noptional-dependencies.test = ['pytest']\n[build-system]\n",
            )],
            "--use-pep517 -e \".[test]\"",
        ),
        (vec![("setup.py", "setup(extras_require={'test': ['six']})")], "--use-pep517 -e \".[test]\" pytest"),
        (
            vec![(
                "pyproject.toml",
                "[tool.poetry]\nname = 'x'\n[tool.poetry.dependencies]\nsix = '*'\n[build-system]\n",
            )],
            "--use-pep517 -e . pytest",
        ),
        (
            vec![("tox.ini", "[testenv]\ndeps =\n    pytest>=8\n    six\n    py39: x\ncommands = pytest\n")],
            "\"pytest>=8\" six",
        ),
    ] {
        assert_eq!(install(&files), expected, "{files:?}");
    }
}

#[test]
fn the_packages_of_a_python_project_are_installed_again_only_after_a_change_of_what_they_depend_on() {
    let install = |files: &[(&str, &str)]| steps(&[files, &[TEST]].concat()).swap_remove(0);
    let python = "python3 -c 'import sys; print(sys.version, sys.executable)'";
    let begins = |files: &[(&str, &str)], with: &str| {
        let found = install(files);
        assert!(found.contains(&format!("made_from=$({with})")), "{found}");
    };
    let package = "[project]\nname = 'x'\n[build-system]\nrequires = ['hatchling>=1']\n";
    begins(
        &[("requirements.txt", "six\n-r more.txt\n"), ("more.txt", "")],
        &format!("{python} && cat more.txt requirements.txt"),
    );
    // A link to the sources is good only as long as they are at the same place.
    begins(&[("pyproject.toml", package)], &format!("pwd && {python} && cat pyproject.toml"));
    begins(
        &[("pyproject.toml", package), ("uv.lock", "")],
        "pwd && uv python find --system && cat pyproject.toml uv.lock",
    );
    begins(&[("Pipfile", ""), ("Pipfile.lock", "")], &format!("{python} && cat Pipfile Pipfile.lock"));
    for more in [
        ("requirements.txt", "-e .\n"),
        ("requirements.txt", "./other\n"),
        ("setup.py", "setup(ext_modules=[Extension('a', ['a.c'])])"),
        ("pyproject.toml", "[project]\nname = 'x'\n[build-system]\nrequires = ['maturin']\n"),
        ("pyproject.toml", "[project]\nname = 'x'\ndynamic = ['version']\n[build-system]\nrequires = ['hatchling']\n"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nx = {path = '../x'}\n"),
    ] {
        let found = install(&[more]);
        assert!(!found.contains("made-from") && !found.contains(" -e ."), "{found}");
    }
    let workspace = format!("{package}[tool.uv.workspace]\nmembers = ['a']\n");
    let found = steps(&[("pyproject.toml", &workspace), ("uv.lock", ""), TEST]);
    assert!(found[0].contains("; uv sync --frozen; ") && found[1].contains("uv run python -m pytest"), "{found:?}");
}

#[test]
fn the_tests_of_a_python_project_are_run_with_what_they_are_written_for() {
    let last = |files: &[(&str, &str)]| steps(files).pop().unwrap();
    let manifest = ("pyproject.toml", "[project]\nname = 'x'\ndescription = 'no pytest here'\n");
    let unittest = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";
    let image = "python:3.13";
    assert_eq!(
        last(&[manifest, ("tests/test_a.py", unittest)]),
        format!("{image}: python3 -m unittest discover -s tests")
    );
    assert_eq!(
        last(&[manifest, ("tests/test_a.py", unittest), ("tests/__init__.py", "")]),
        format!("{image}: python3 -m unittest discover -s tests -t .")
    );
    assert_eq!(last(&[manifest, ("test_a.py", unittest)]), format!("{image}: python3 -m unittest discover"));
    assert_eq!(last(&[manifest, TEST]), "-: .venv/bin/python -m pytest");
    // A table or a dependency shows that pytest is used; without a test it exits with 5.
    let uses = "-: .venv/bin/python -m pytest || [ $? -eq 5 ]";
    assert_eq!(last(&[("pyproject.toml", "[tool.pytest.ini_options]\n")]), uses);
    assert_eq!(last(&[("pyproject.toml", "[dependency-groups]\ndev = ['pytest>=8']\n")]), uses);
    assert_eq!(last(&[manifest, ("x.py", "")]), format!("{image}: python3 -m compileall -q -x '[.]venv' ."));
    assert_eq!(last(&[("manage.py", ""), ("requirements.txt", "Django\n")]), "-: .venv/bin/python manage.py test");
}

#[test]
fn the_tests_of_a_python_project_below_another_are_run_only_there() {
    let below = [("a/requirements.txt", "six\n"), ("a/test_a.py", "def test_a(): pass\n")];
    let tests = |files: &[(&str, &str)]| -> Vec<String> {
        steps(&[files, &below].concat()).into_iter().filter(|step| step.contains("-m pytest")).collect()
    };
    let manifest = ("pyproject.toml", "[tool.pytest.ini_options]\n");
    assert_eq!(tests(&[manifest]), ["a -: .venv/bin/python -m pytest"]);
    assert_eq!(tests(&[manifest, TEST]), ["-: .venv/bin/python -m pytest tests", "a -: .venv/bin/python -m pytest"]);
}

#[test]
fn the_version_of_python_is_the_projects() {
    let first = |file: &str, text: &str| steps(&[("x.py", ""), (file, text)]).swap_remove(0);
    assert!(first(".python-version", "3.12\n").starts_with("python:3.12: "));
    assert!(
        first("pyproject.toml", "[project]\nname = 'x'\nrequires-python = '>=3.9,<3.12'\n")
            .starts_with("python:3.11: ")
    );
    assert!(first("setup.cfg", "[options]\npython_requires = >=3.8\n").starts_with("python:3.13: "));
}

#[test]
fn a_makefile_is_run_only_with_targets_that_build_or_test() {
    let make = |rules: &str| steps(&[("Makefile", rules)]);
    assert_eq!(make("test := x\napp: main.c\n\tcc main.c\n"), ["gcc:15: make"]);
    assert_eq!(make("all test: app\n"), ["gcc:15: make", "-: make test"]);
    assert_eq!(make("install:\n\tcp x /usr\nbuild:\n\tcc\ncheck:\n"), ["gcc:15: make build", "-: make check"]);
    assert_eq!(make("run:\n\t./server\ntest:\n"), ["gcc:15: make test"]);
    assert_eq!(make("test:\n\techo x\n"), ["gcc:15: make"]);
    assert!(make("deploy:\n\tscp x y:\n").is_empty());
}

#[test]
fn a_cmake_project_installs_nothing() {
    let found = steps(&[("CMakeLists.txt", ""), ("src/CMakeLists.txt", ""), ("Makefile", "all:\n")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("cmake -S . -B build-ci") && !found[0].contains("apt"), "{found:?}");
}

#[test]
fn a_go_workspace_names_its_modules() {
    let work = "go 1.24.1\n\nuse (\n\t./a // the first\n\t.\n)\nuse ./b\n";
    let found = steps(&[
        ("go.work", work),
        ("a/go.mod", "module a\n"),
        ("b/go.mod", "module b\n"),
        ("c/go.mod", "module c\n\ngo 1.23\n"),
    ]);
    assert_eq!(found[0], "golang:1.24.1: go mod download");
    assert_eq!(found[1], "-: go build ./a/... ./... ./b/...");
    assert_eq!(found[5], "c -: go build ./...");
    assert_eq!(found.len(), 8, "{found:?}");
}

#[test]
fn wrappers_and_versions_of_java_are_used() {
    let first = |files: &[(&str, &str)]| steps(files).swap_remove(0);
    let manifest = ("pom.xml", "<java.version>17</java.version>");
    assert_eq!(first(&[manifest]), "maven:3.9-eclipse-temurin-17: mvn --batch-mode compile");
    assert_eq!(
        first(&[("pom.xml", "<maven.compiler.source>1.8<"), ("mvnw", "")]),
        "maven:3.9-eclipse-temurin-8: sh ./mvnw --batch-mode compile"
    );
    assert_eq!(
        steps(&[
            ("pom.xml", "<modules><module>a</module></modules>"),
            ("a/pom.xml", "<java.version>17</java.version>")
        ])
        .len(),
        2
    );
    let script = ("build.gradle.kts", "languageVersion = JavaLanguageVersion.of(20)");
    assert_eq!(first(&[script, ("gradlew", "")]), "gradle:8.14-jdk21: sh ./gradlew assemble");
}

#[test]
fn other_languages_test_only_what_there_is() {
    let found = |files: &[(&str, &str)]| steps(files).join(" | ");
    assert_eq!(
        found(&[("Gemfile", "gem 'rspec'"), ("spec/a_spec.rb", "")]),
        "ruby:3.4: bundle install | -: bundle exec rspec"
    );
    assert_eq!(found(&[("Gemfile", "ruby '3.3'\ngem 'rails'")]), "ruby:3.3: bundle install");
    assert_eq!(
        found(&[("composer.json", r#"{"require-dev": {"phpunit/phpunit": "*"}}"#), ("phpunit.xml", "")]),
        "composer:2.8: composer install --no-interaction | -: vendor/bin/phpunit"
    );
    assert_eq!(found(&[("composer.json", "{}")]), "composer:2.8: composer install --no-interaction");
    assert_eq!(
        found(&[("deno.json", r#"{"tasks": {"dev": "x"}}"#), ("main.ts", "")]),
        "denoland/deno:2.5.0: deno lint"
    );
    assert_eq!(found(&[("deno.json", "{}"), ("a_test.ts", "")]), "denoland/deno:2.5.0: deno lint | -: deno test");
    assert_eq!(
        found(&[("x.sln", ""), ("src/x.csproj", "<TargetFramework>net8.0<")]),
        "mcr.microsoft.com/dotnet/sdk:8.0: dotnet build x.sln | -: dotnet test x.sln --no-build"
    );
    assert_eq!(found(&[("Dockerfile", "")]), "host: docker build .");
    assert_eq!(found(&[("main.c", ""), ("Dockerfile", "")]), "gcc:15: gcc -Wall -c main.c");
}

#[test]
fn what_git_ignores_is_not_a_package() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join(".git")).unwrap();
    std::fs::create_dir_all(folder.path().join("old")).unwrap();
    std::fs::write(folder.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(folder.path().join(".gitignore"), "old/\n").unwrap();
    std::fs::write(folder.path().join("old/package.json"), "{}").unwrap();
    assert!(Kind::all_in(&Project::read(folder.path()).unwrap()).is_empty());
}
