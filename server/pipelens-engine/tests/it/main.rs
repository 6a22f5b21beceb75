//! The engine from its front door: plans go in, events come out, a real Docker daemon or this machine runs them.
//!
//! `PIPELENS_TEST_DOCKER_HOST` names the daemon; `tests/make-images.sh` puts the images in it. Without it the Docker tests do
//! nothing and say so, unless `PIPELENS_REQUIRE_DOCKER=1` makes that a failure.

mod bench;
mod docker;
mod killed;
mod runners;
