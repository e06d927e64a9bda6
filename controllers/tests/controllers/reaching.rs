//! An edge on another machine: publishing to it through a real sshd.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::edge::{Edge, backend};
use crate::program::{KARMAN, Program, signal, wait_until};

/// Debian's sshd at a port of its own, for the user that the test runs as.
struct Sshd {
    program: Program,
    dir: TempDir,
    port: u16,
}

impl Sshd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // sshd believes no key in a folder that others could write to.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        for key in ["host", "user"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key)).status();
            assert!(made.unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = dir.path().display();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n\
             PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\n"
        );
        fs::write(dir.path().join("sshd_config"), settings).unwrap();
        // What ssh is told by whoever runs a publisher: whom to be, and which hosts to believe.
        let host = fs::read_to_string(dir.path().join("host.pub")).unwrap();
        fs::write(dir.path().join("known_hosts"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        let client =
            format!("Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n");
        fs::write(dir.path().join("ssh_config"), client).unwrap();
        let ssh = format!("#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config \"$@\"\n");
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/ssh"), ssh).unwrap();
        fs::set_permissions(dir.path().join("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        // As root, sshd wants this folder, which is made by a service that does not run here.
        let _ = fs::create_dir_all("/run/sshd");
        let program = Program::start("sshd", Path::new("/usr/sbin/sshd"), dir.path(), ["-D", "-e", "-f", "sshd_config"]);
        let mut sshd = Self { program, dir, port };
        sshd.program.wait_for("Server listening");
        sshd
    }

    /// The processes that serve those who came in.
    fn sessions(&self) -> Vec<u32> {
        let pid = self.program.pid();
        let sessions = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        sessions.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Ends every session, as a network does that is gone.
    fn cut(&self) {
        assert!(!self.sessions().is_empty(), "somebody came in over ssh");
        self.sessions().into_iter().for_each(|session| signal(session, Signal::KILL));
    }

    fn path(&self) -> String {
        format!("{}:{}", self.dir.path().join("bin").display(), std::env::var("PATH").unwrap())
    }
}

fn app(seconds: u32, address: std::net::SocketAddr) -> String {
    format!("hosts: [a.test]\nwarm_seconds: {seconds}\ninstances:\n  a-1: {{address: \"{address}\"}}\n")
}

#[test]
fn an_edge_on_another_machine_is_published_to_over_ssh_and_again_when_ssh_was_cut() {
    let sshd = Sshd::start();
    let address = backend("hello");
    let mut edge = Edge::with(&[("apps/a.yaml", &app(1, address))]);
    edge.start_proxy();
    let target = format!("ssh://127.0.0.1:{}{}", sshd.port, edge.socket().display());
    let arguments = ["publish", "--store", "data", "--edge", &target];
    let path = [("PATH", sshd.path())];
    let mut publisher = Program::start_with("over-ssh", Path::new(KARMAN), edge.dir(), arguments, path);
    publisher.wait_for("is live");
    assert_eq!(edge.page("a.test").status, 200);

    sshd.cut();
    publisher.wait_for("it is started again");
    edge.write("apps/a.yaml", &app(2, address));
    edge.wait_for_app("a", "/warm_seconds", 2);
    publisher.kill();
    wait_until("a publisher that is killed takes its ssh along", || sshd.sessions().is_empty());
    assert_eq!(edge.page("a.test").status, 200);
}
