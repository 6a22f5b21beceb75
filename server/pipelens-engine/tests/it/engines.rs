//! Engines of the tests' own, of every kind a person may have, and the ways to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::bench::{BUSYBOX, docker_host, eventually};
use crate::skipped::skipped;

/// Says that a test cannot run here; where engines are required, that is a failure.
pub(crate) fn skip(why: &str) {
    let required = std::env::var("PIPELENS_REQUIRE_DOCKER").is_ok_and(|value| value == "1");
    assert!(!required, "{why}");
    skipped("a container engine", why);
}

pub(crate) fn has_program(name: &str) -> bool {
    Path::new(&program_path(name)).is_absolute()
}

/// Returns where a program is; those for administrators may not be on the `PATH`.
fn program_path(name: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|folder| folder.join(name));
    places.find(|place| place.is_file()).map_or_else(|| name.to_owned(), |place| place.display().to_string())
}

/// Returns a free port.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a program to its end, and shows what it said if that was no good one.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A short folder: a socket's path has at most 108 bytes.
pub(crate) fn short_folder() -> TempDir {
    tempfile::Builder::new().prefix("pl-").tempdir_in("/tmp").unwrap()
}

/// A process that ends with the test, asked first.
pub(crate) struct Service(Child);

impl Service {
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

/// Certificates of a little world of its own: who signs, a server on this machine, a client, and a stranger.
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self { folder };
        for (who, extensions) in [
            ("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"),
            ("client", "extendedKeyUsage=clientAuth\n"),
        ] {
            let home = this.home(who);
            this.sign_itself(who, "ca", "ca.pem", "ca-key.pem");
            if who == "client" {
                for name in ["ca.pem", "ca-key.pem"] {
                    fs::copy(this.home("server").join(name), home.join(name)).unwrap();
                }
            }
            fs::write(home.join("extensions"), extensions).unwrap();
            let openssl = |arguments: &[&str]| succeed(Command::new("openssl").args(arguments).current_dir(&home));
            openssl(
                &[&["req", "-new", "-subj", &format!("/CN={who}"), "-keyout", "key.pem", "-out", "request"], KEY]
                    .concat(),
            );
            openssl(&[
                "x509",
                "-req",
                "-in",
                "request",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-CAcreateserial",
                "-days",
                "2",
                "-extfile",
                "extensions",
                "-out",
                "cert.pem",
            ]);
        }
        // Has the authority's certificate, but none of its own.
        let stranger = this.home("stranger");
        this.sign_itself("stranger", "stranger", "cert.pem", "key.pem");
        fs::copy(this.home("server").join("ca.pem"), stranger.join("ca.pem")).unwrap();
        this
    }

    /// Returns the folder with `ca.pem`, `cert.pem` and `key.pem` of `server`, `client` or `stranger`.
    pub(crate) fn home(&self, who: &str) -> PathBuf {
        let home = self.folder.path().join(who);
        fs::create_dir_all(&home).unwrap();
        home
    }

    fn sign_itself(&self, who: &str, name: &str, certificate: &str, key: &str) {
        let subject = format!("/CN={name}");
        let words =
            [&["req", "-x509", "-days", "2", "-subj", &subject, "-keyout", key, "-out", certificate], KEY].concat();
        succeed(Command::new("openssl").args(words).current_dir(self.home(who)));
    }
}

const KEY: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// A Docker daemon that listens on TCP to whoever has a certificate.
pub(crate) struct TlsDaemon {
    /// Where to: `127.0.0.1:port`.
    pub(crate) address: String,
    pub(crate) certificates: Certificates,
    socket: String,
    _service: Service,
    _folder: TempDir,
}

impl TlsDaemon {
    /// `None` where there is nothing to start it with.
    pub(crate) async fn start() -> Option<Self> {
        if !["dockerd", "openssl"].into_iter().all(has_program) {
            skip("there is no dockerd or no openssl");
            return None;
        }
        let folder = short_folder();
        let certificates = Certificates::make();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let address = format!("127.0.0.1:{}", free_port());
        let socket = format!("unix://{}", path("docker.sock"));
        let server = certificates.home("server");
        let mut command = Command::new("dockerd");
        command
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .args(["--host", &socket, "--host", &format!("tcp://{address}"), "--tlsverify"])
            .arg("--tlscacert")
            .arg(server.join("ca.pem"))
            .arg("--tlscert")
            .arg(server.join("cert.pem"))
            .arg("--tlskey")
            .arg(server.join("key.pem"));
        let mut service = Service::start(&mut command, &folder.path().join("log"));
        eventually("the daemon answers", async || {
            assert!(!service.has_ended(), "{}", fs::read_to_string(folder.path().join("log")).unwrap());
            Command::new("docker").args(["--host", &socket, "version"]).output().unwrap().status.success().then_some(())
        })
        .await;
        hand_on_the_image(&socket);
        Some(Self { address, certificates, socket, _service: service, _folder: folder })
    }

    /// Returns what the docker client prints.
    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        succeed(Command::new("docker").args(["--host", &self.socket]).args(arguments))
    }
}

/// An SSH server of this user's own, and clients of it: one with the right key, one with a wrong one.
pub(crate) struct SshServer {
    pub(crate) port: u16,
    folder: TempDir,
    _service: Service,
}

impl SshServer {
    /// `None` where there is nothing to start it with.
    pub(crate) async fn start() -> Option<Self> {
        if !["sshd", "ssh", "ssh-keygen"].into_iter().all(has_program) {
            skip("there is no sshd or no ssh");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for key in ["host", "right", "wrong"] {
            succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]));
        }
        fs::rename(path("right.pub"), path("authorized_keys")).unwrap();
        let port = free_port();
        let config = format!(
            r"Port {port}
ListenAddress 127.0.0.1
HostKey {}
AuthorizedKeysFile {}
PidFile none
MaxStartups 10
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
",
            path("host"),
            path("authorized_keys"),
        );
        fs::write(path("sshd_config"), config).unwrap();
        let host_key = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        for key in ["right", "wrong"] {
            // The only way to give `ssh` a configuration that is not the user's.
            let program = folder.path().join(format!("with-{key}-key/ssh"));
            let options =
                format!("-F none -o UserKnownHostsFile={} -i {} -o IdentitiesOnly=yes", path("known_hosts"), path(key));
            write_program(&program, &format!("exec {} {options} \"$@\"\n", program_path("ssh")));
        }
        // Separates its privileges below it, where it runs as root.
        fs::create_dir_all("/run/sshd").ok();
        let mut command = Command::new(program_path("sshd"));
        command.args(["-D", "-e", "-f", &path("sshd_config")]);
        let mut service = Service::start(&mut command, &folder.path().join("log"));
        eventually("the SSH server listens", async || {
            assert!(!service.has_ended(), "{}", fs::read_to_string(folder.path().join("log")).unwrap());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        })
        .await;
        Some(Self { port, folder, _service: service })
    }

    /// Returns a `PATH` on which `ssh` has the `right` or the `wrong` key.
    pub(crate) fn path_with_key(&self, key: &str) -> String {
        let folder = self.folder.path().join(format!("with-{key}-key"));
        format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
    }
}

/// Podman's service, with storage of its own.
pub(crate) struct Podman {
    pub(crate) host: String,
    _service: Service,
    _folder: TempDir,
}

impl Podman {
    /// `None` where there is nothing to start it with.
    pub(crate) async fn start() -> Option<Self> {
        if !["podman", "catatonit"].into_iter().all(has_program) {
            skip("there is no podman or no catatonit");
            return None;
        }
        let folder = short_folder();
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Where the tests run in a container themselves, there is no systemd, no network to make and no limit to raise.
        // crun, which it prefers, refuses machines that have both versions of control groups mounted; runc does not.
        let runtime = if has_program("runc") { "runtime = \"runc\"\n" } else { "" };
        let config = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
"#;
        fs::write(path("containers.conf"), format!("{config}{runtime}")).unwrap();
        let host = format!("unix://{}", path("podman.sock"));
        let mut command = Command::new("podman");
        command
            .env("CONTAINERS_CONF", path("containers.conf"))
            .args(["--root", &path("root"), "--runroot", &path("run"), "--tmpdir", &path("tmp")])
            .args(["--storage-driver", "vfs", "system", "service", "--time", "0", &host]);
        let mut service = Service::start(&mut command, &folder.path().join("log"));
        eventually("podman answers", async || {
            assert!(!service.has_ended(), "{}", fs::read_to_string(folder.path().join("log")).unwrap());
            Command::new("docker").args(["--host", &host, "version"]).output().unwrap().status.success().then_some(())
        })
        .await;
        hand_on_the_image(&host);
        let podman = Self { host, _service: service, _folder: folder };
        // Asked for, an unqualified name is one of Docker Hub's.
        podman.tag_loaded(BUSYBOX, &format!("docker.io/{BUSYBOX}"));
        Some(podman)
    }

    /// Gives a name to an image that was loaded. An unqualified name in an archive is one of this machine's, or in the archives of newer
    /// versions of Docker one of Docker Hub's.
    pub(crate) fn tag_loaded(&self, name: &str, new: &str) {
        let names = ["localhost", "docker.io"].map(|registry| format!("{registry}/{name}"));
        let is_here = |name: &&String| {
            let inspected = Command::new("docker").args(["--host", &self.host, "image", "inspect", name]).output();
            inspected.unwrap().status.success()
        };
        let loaded = names.iter().find(is_here).unwrap_or_else(|| panic!("{name} was not loaded"));
        self.client(&["tag", loaded, new]);
    }

    /// Returns what the docker client prints.
    pub(crate) fn client(&self, arguments: &[&str]) -> String {
        succeed(Command::new("docker").args(["--host", &self.host]).args(arguments))
    }
}

/// Writes a shell script as a program.
pub(crate) fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Copies the test image from the test daemon to another engine.
fn hand_on_the_image(host: &str) {
    let archive = tempfile::NamedTempFile::new().unwrap();
    let path = archive.path().display().to_string();
    succeed(Command::new("docker").args(["--host", &docker_host().unwrap(), "save", "-o", &path, BUSYBOX]));
    succeed(Command::new("docker").args(["--host", host, "load", "-i", &path]));
}
