//! Only Linux has what a cluster's nodes are made of; elsewhere every chore that needs one says so.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};

pub(crate) fn is_wanted(filters: &[String]) -> bool {
    filters.first().is_some_and(|filter| filter == "kubernetes")
}

pub(crate) fn test(_filters: &[String], _nodes: u8) -> Result<()> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn cluster(_command: &[OsString], _nodes: u8) -> Result<()> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn inside_test(_filters: &[String], _nodes: u8) -> Result<bool> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn inside(_command: &[OsString], _nodes: u8) -> Result<bool> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn node(_folder: &Path) -> Result<()> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn fault(_words: &[String]) -> Result<()> {
    bail!("a private Kubernetes cluster needs Linux")
}

pub(crate) fn measure() -> Result<()> {
    bail!("a private Kubernetes cluster needs Linux")
}
