//! Dependencies go one way: between crates as cargo sees them, between files as their imports say.

mod imports;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use imports::{Imports, circles, name};

fn dependencies(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|candidate| candidate["name"] == package).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_core_depends_on_neither_engine_nor_protocol_nor_runtime() {
    let core = dependencies("pipelens-core");
    for stranger in ["pipelens-engine", "pipelens", "tokio", "lsp-types", "tower-lsp-server", "bollard", "chrono"] {
        assert!(!core.iter().any(|name| name == stranger), "the core depends on {stranger}");
    }
}

#[test]
fn the_engine_depends_on_the_core_and_on_no_editor() {
    let engine = dependencies("pipelens-engine");
    assert!(engine.iter().any(|name| name == "pipelens-core"));
    for stranger in ["pipelens", "lsp-types", "tower-lsp-server", "clap", "indicatif"] {
        assert!(!engine.iter().any(|name| name == stranger), "the engine depends on {stranger}");
    }
}

#[test]
fn the_binary_depends_on_both() {
    let binary = dependencies("pipelens");
    assert!(binary.iter().any(|name| name == "pipelens-core") && binary.iter().any(|name| name == "pipelens-engine"));
}

fn imports_of(package: &str) -> Imports {
    imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(package).join("src"))
}

#[test]
fn there_are_no_import_cycles() {
    for package in ["pipelens-core", "pipelens-engine", "pipelens"] {
        let circles: Vec<String> = circles(&imports_of(package)).iter().map(|circle| circle.join(" ↔ ")).collect();
        assert!(circles.is_empty(), "{package} has circles of imports:\n{}", circles.join("\n"));
    }
}

/// The rooms of the language server, each of which may import from those above it in this list and from itself.
const ROOMS: [&[&str]; 8] = [
    &["transport", "protocol"],
    &["findings"],
    &["session"],
    &["runs"],
    &["server"],
    &["requests"],
    &["routes"],
    &[""],
];

fn room_of(module: &[String]) -> Option<usize> {
    let (first, rest) = module.split_first()?;
    let name = rest.first().map_or("", String::as_str);
    (first == "lsp").then(|| {
        let room = ROOMS.iter().position(|rooms| rooms.contains(&name));
        room.unwrap_or_else(|| panic!("`lsp/{name}` is in no room: add it to the list, where it belongs"))
    })
}

#[test]
fn the_modules_of_the_language_server_import_downwards() {
    let mut upwards = Vec::new();
    for (module, imported) in &imports_of("pipelens") {
        let Some(room) = room_of(module) else {
            let rooms =
                imported.iter().filter(|other| other.first().is_some_and(|first| first == "lsp") && other.len() > 1);
            upwards.extend(rooms.map(|other| format!("{} → {}", name(module), name(other))));
            continue;
        };
        let is_apart = |other: &[String]| ROOMS[0].contains(&module[1].as_str()) && other.get(1) != module.get(1);
        for other in imported {
            if room_of(other)
                .is_some_and(|other_room| other_room > room || (other_room == 0 && room == 0 && is_apart(other)))
            {
                upwards.push(format!("{} → {}", name(module), name(other)));
            }
        }
    }
    assert!(upwards.is_empty(), "these imports do not go down:\n{}", upwards.join("\n"));
}

#[test]
fn an_import_cycle_is_found_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write("a.rs", "use crate::{b::{self, Thing}}; #[cfg(test)] mod tests { use crate::c::Other; }");
    write("b.rs", "pub struct Thing; fn f() -> u8 { super::c::g() }");
    write("c.rs", "mod child; use child::Value; pub fn g() -> u8 { 0 }");
    write("c/child.rs", "pub struct Value; fn h(_: crate::a::Missing) {}");
    assert_eq!(circles(&imports::read(folder.path())), [["a", "b", "c", "c::child"]]);
    write("c/child.rs", "pub struct Value;");
    assert_eq!(circles(&imports::read(folder.path())), Vec::<Vec<String>>::new());
    write("c/child.rs", "use super::g; pub struct Value;");
    assert_eq!(circles(&imports::read(folder.path())), [["c", "c::child"]]);
}
