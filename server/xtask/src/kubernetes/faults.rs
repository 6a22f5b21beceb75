//! What tests can break: they say it to the process that has started the cluster, which does it and answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};

use super::cluster::Cluster;
use super::service::Service;
use super::{Layout, SOCKET};

/// Does what the tests ask for, one thing after another, as long as this process lives.
pub(crate) fn serve(cluster: Arc<Mutex<Cluster>>, layout: &Layout) -> Result<()> {
    let listener = UnixListener::bind(layout.faults()).context("cannot listen for faults")?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // Who has gone away needs no answer.
            answer(&cluster, connection).ok();
        }
    });
    Ok(())
}

fn answer(cluster: &Mutex<Cluster>, mut connection: UnixStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let done = match cluster.lock() {
        Ok(mut cluster) => carry_out(&mut cluster, &words),
        Err(_) => bail!("the cluster is gone"),
    };
    match done {
        Ok(said) => write!(connection, "ok\n{said}")?,
        Err(error) => write!(connection, "error\n{error:#}")?,
    }
    Ok(())
}

const USAGE: &str = "expected `list`, or `stop`, `start`, `restart`, `pause` or `resume` with the name of a program (see `list`), or `cut`, \
                     `restore`, `power-off` or `power-on` with the name of a node";

fn carry_out(cluster: &mut Cluster, words: &[&str]) -> Result<String> {
    let nothing = |done: Result<()>| done.map(|()| String::new());
    match words {
        ["list"] => Ok(cluster.services().map(describe).collect()),
        ["stop", name] => nothing(service(cluster, name)?.stop()),
        ["start", name] => nothing(service(cluster, name)?.start()),
        ["restart", name] => {
            let service = service(cluster, name)?;
            service.stop()?;
            nothing(service.start())
        }
        ["pause", name] => nothing(service(cluster, name)?.pause()),
        ["resume", name] => nothing(service(cluster, name)?.resume()),
        ["cut", name] => nothing(cluster.node(name)?.set_link("down")),
        ["restore", name] => nothing(cluster.node(name)?.set_link("up")),
        ["power-off", name] => nothing(cluster.node(name)?.power_off()),
        ["power-on", name] => nothing(cluster.node(name)?.power_on()),
        _ => bail!("{USAGE}"),
    }
}

fn service<'a>(cluster: &'a mut Cluster, name: &str) -> Result<&'a mut Service> {
    let service = cluster.services().find(|service| service.name() == name);
    service.with_context(|| format!("there is no program `{name}`; `list` names them"))
}

fn describe(service: &mut Service) -> String {
    match service.number() {
        Ok(number) => format!("{} {number}\n", service.name()),
        Err(_) => format!("{} -\n", service.name()),
    }
}

/// Asks the process that has started the cluster to break something, or to mend it: what `ClusterFault` does.
pub(crate) fn ask(words: &[String]) -> Result<()> {
    let socket =
        std::env::var_os(SOCKET).with_context(|| format!("{SOCKET} is not set: this is not a cluster's sandbox"))?;
    let mut connection = UnixStream::connect(socket).context("the cluster does not answer")?;
    writeln!(connection, "{}", words.join(" "))?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.split_once('\n') {
        Some(("ok", said)) => print!("{said}"),
        Some((_, error)) => bail!("{error}"),
        None => bail!("the cluster is gone"),
    }
    Ok(())
}
