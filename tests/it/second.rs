//! What makes a second run fast: cache mounts, and last results to start from.

use serde_json::json;

use crate::support::{Project, runners, text};

const PIPELINE: &str = r"default_image: pipelens-test/busybox:latest
steps:
  - key: build
    cmd: cat kept/lines built 2>/dev/null; echo x >> kept/lines; cat input > built; wc -c < built
    cache_mounts: [{path: kept, sharing: locked}, {path: other, name: odd one}]
    reuse: last
";

#[test]
fn the_plan_the_log_and_clean_say_what_a_second_run_starts_from() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        let write = |content: &str| std::fs::write(project.folder.path().join("input"), content).unwrap();
        write("one\n");
        let output = |arguments: &[&str]| {
            let (code, output, errors) = project.output(runner, arguments);
            assert_eq!(code, 0, "{runner:?} {arguments:?}: {output}{errors}");
            output
        };
        let plan = ["plan", "--runner", runner.name(), "pipeline.yml"];
        let run = ["run", "--runner", runner.name(), "pipeline.yml"];
        assert_eq!(output(&plan), "build  runs in pipelens-test/busybox:latest: it has no last result yet\n");
        let first = output(&run);
        assert!(first.contains("[build] 4\n") && !first.contains("[build] x\n"), "{first}");
        assert_eq!(output(&plan), "build  runs on its last result\n");
        write("second\n");
        let second = output(&run);
        assert!(second.contains("[build] x\n") && second.contains("[build] one\n"), "{second}");
        assert!(second.contains("`build` starts from its last result."), "{second}");
        let listed = output(&["clean", "--dry-run", "."]);
        for line in
            ["result of `build`\n", "cache mount `/workspace/kept`\n", "cache mount `odd one`\n", "\nWould remove "]
        {
            assert!(listed.contains(line), "{listed}");
        }
        assert_eq!(output(&["clean", "--dry-run", "."]), listed, "nothing has been removed");
        assert!(output(&["clean", "."]).starts_with("Removed "));
        assert_eq!(output(&["clean", "--dry-run", "."]), "Would remove 0 B of cached results and cache mounts.\n");
        let anew = output(&run);
        assert!(!anew.contains("[build] x\n") && !anew.contains("[build] second\n"), "{anew}");
        output(&["clean", "."]);
    }
}

#[test]
fn lens_and_hover_say_that_a_step_starts_from_its_last_result() {
    for runner in runners() {
        let project = Project::new(PIPELINE);
        std::fs::write(project.folder.path().join("input"), "one\n").unwrap();
        let mut client = project.serve(runner);
        let uri = project.uri();
        let eventually_shown = |client: &mut test_client::Client, wanted: &str| {
            loop {
                let lenses = client.lenses(&uri);
                let mut titles = lenses.iter().map(|lens| text(&lens["command"]["title"]));
                if titles.any(|title| title == wanted) {
                    return;
                }
                client.wait(&format!("`{wanted}` instead of {lenses:?}"), |message| {
                    (message["method"] == "workspace/codeLens/refresh").then_some(())
                });
            }
        };
        eventually_shown(&mut client, "▶ Run step · not cached: it has no last result yet");
        client.run_to_end("pipelens.runPipeline", json!({"uri": uri}));
        eventually_shown(&mut client, "▶ Run step · starts from its last result");
        let at = json!({"textDocument": {"uri": uri}, "position": {"line": 2, "character": 10}});
        let hover = client.request("textDocument/hover", at).unwrap();
        let said = text(&hover["contents"]["value"]);
        assert!(said.contains("Cache: starts from its last result."), "{said}");
        assert_eq!(client.quit().code(), Some(0));
        project.output(runner, &["clean", "."]);
    }
}
