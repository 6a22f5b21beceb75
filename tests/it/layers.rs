//! The house's one-way dependencies, as cargo sees them.

use std::process::Command;

use serde_json::Value;

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
fn the_core_knows_neither_the_engine_nor_the_protocol_nor_a_runtime() {
    let core = dependencies("pipelens-core");
    for stranger in ["pipelens-engine", "pipelens", "tokio", "lsp-types", "tower-lsp-server", "bollard", "chrono"] {
        assert!(!core.iter().any(|name| name == stranger), "the core depends on {stranger}");
    }
}

#[test]
fn the_engine_knows_the_core_and_no_editor() {
    let engine = dependencies("pipelens-engine");
    assert!(engine.iter().any(|name| name == "pipelens-core"));
    for stranger in ["pipelens", "lsp-types", "tower-lsp-server", "clap", "indicatif"] {
        assert!(!engine.iter().any(|name| name == stranger), "the engine depends on {stranger}");
    }
}

#[test]
fn the_binary_stands_on_both() {
    let binary = dependencies("pipelens");
    assert!(binary.iter().any(|name| name == "pipelens-core") && binary.iter().any(|name| name == "pipelens-engine"));
}
