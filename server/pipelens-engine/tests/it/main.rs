//! The engine from its front door: plans go in, events come out, a real Docker daemon or this machine runs them.
//!
//! `PIPELENS_TEST_DOCKER_HOST` names the daemon; `tests/make-images.sh` puts the images in it. Without it the Docker tests do
//! nothing and say so, unless `PIPELENS_REQUIRE_DOCKER=1` makes that a failure.

#[cfg(test)]
#[cfg(unix)]
mod artifacts;
#[cfg(test)]
mod bench;
#[cfg(test)]
#[cfg(unix)]
mod broken;
#[cfg(test)]
mod cache;
mod cache_registry;
mod cluster;
#[cfg(test)]
#[cfg(unix)]
mod disk;
#[cfg(test)]
mod docker;
#[cfg(test)]
#[cfg(unix)]
mod endpoints;
#[cfg(test)]
#[cfg(unix)]
mod engines;
#[cfg(test)]
mod faults;
#[cfg(test)]
#[cfg(all(feature = "kubernetes", target_os = "linux"))]
mod faulty_kubernetes;
#[cfg(test)]
#[cfg(unix)]
mod git;
#[cfg(test)]
mod killed;
#[cfg(test)]
#[cfg(all(feature = "kubernetes", target_os = "linux"))]
mod kubernetes;
#[cfg(test)]
#[cfg(all(feature = "kubernetes", unix))]
mod kubernetes_login;
#[cfg(test)]
#[cfg(feature = "kubernetes")]
mod kubernetes_results;
#[cfg(test)]
#[cfg(feature = "kubernetes")]
mod kubernetes_survey;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod matrix;
#[cfg(test)]
#[cfg(unix)]
mod mounts;
#[cfg(test)]
mod networks;
#[cfg(test)]
#[cfg(unix)]
mod odd_sources;
#[cfg(test)]
mod options;
#[cfg(test)]
#[cfg(unix)]
mod passing;
#[cfg(test)]
#[cfg(unix)]
mod person;
#[cfg(test)]
#[cfg(unix)]
mod places;
#[cfg(test)]
#[cfg(unix)]
mod proxy;
#[cfg(test)]
#[cfg(unix)]
mod registry;
#[cfg(test)]
mod reports;
#[cfg(test)]
#[cfg(unix)]
mod reuse;
#[cfg(test)]
mod runners;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sharing;
#[cfg(test)]
#[path = "../../../../tests/skipped.rs"]
mod skipped;
#[cfg(test)]
#[cfg(unix)]
mod times;
#[cfg(test)]
#[cfg(unix)]
mod updates;
#[cfg(test)]
#[cfg(unix)]
mod volumes;
