//! What a container engine has without asking a registry.

use bollard::query_parameters::ListImagesOptions;

use crate::docker::connect;

/// Returns the names of the images an engine has, sorted, without those that belong to runs; `None` if no engine answers.
pub async fn local(docker_host: Option<&str>) -> Option<Vec<String>> {
    let docker = connect(docker_host).await.ok()?;
    let listed = docker.list_images(None::<ListImagesOptions>).await.ok()?;
    let mut names: Vec<String> = listed.into_iter().flat_map(|image| image.repo_tags).collect();
    names.retain(|name| !name.contains("<none>") && !name.starts_with("pipelens-"));
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// Whether a request to the engine starts a program. If so, the engine is used only for runs, not for assistance while typing.
pub fn needs_program(docker_host: Option<&str>) -> bool {
    crate::docker::needs_program(docker_host)
}
