//! Ways to an edge and to a store over a network that is not trusted: a real sshd, and an etcd with TLS and users.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::edge::{Edge, backend};
use crate::program::{KARMAN, Program, children, karman_with, signal, wait_until};

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
        children(self.program.pid())
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
    // From where only ssh leads to it.
    let drain = |more: &str| {
        let socket = edge.socket().display().to_string();
        let arguments = ["drain", "a-1", more, "--store", "data", "--socket", &socket, "--json"];
        karman_with(edge.dir(), &arguments, [("PATH", sshd.path())])
    };
    let drained = drain("--wait");
    assert_eq!((drained.code, &drained.json()["edges"]["edge-1"]["drained"]), (0, &true.into()), "{drained:?}");
    let resumed = drain("--resume");
    assert_eq!((resumed.code, &resumed.json()["draining"]), (0, &false.into()), "{resumed:?}");
    publisher.kill();
    wait_until("a publisher that is killed takes its ssh along", || sshd.sessions().is_empty());
    assert_eq!(edge.page("a.test").status, 200);
}

#[test]
fn edges_behind_an_ssh_that_hangs_are_waited_for_at_once() {
    let edge = Edge::running(&[("apps/a.yaml", &app(1, backend("hello")))]);
    let mut report = edge.report();
    report["edge"] = serde_json::Value::Null;
    for number in 1..4 {
        report["at_socket"] = format!("ssh://edge-{number}.test/run/karman/admin.sock").into();
        edge.write(&format!("status/publish/far-{number}.json"), &report.to_string());
    }
    let bin = edge.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("ssh"), "#!/bin/sh\nexec sleep 120\n").unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let since = Instant::now();
    let drain = karman_with(edge.dir(), &["drain", "a-1"], [("PATH", path)]);
    assert!(drain.code == 69 && drain.stderr.contains("the edge ssh://edge-1.test/"), "{drain:?}");
    // Each is waited for 10 s, and then asked for 5 s.
    assert!(since.elapsed() < Duration::from_secs(25), "they were waited for one after the other: {:?}", since.elapsed());
}

/// A certificate and its key in files, from a CA whose own is in `ca.pem`.
fn certify(dir: &Path, ca: &CertifiedIssuer<'_, KeyPair>, name: &str, names: &[&str], usage: ExtendedKeyUsagePurpose) {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, usage];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn an_etcd_that_asks_for_certificates_and_passwords_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Else it has the same name as what it signs, which OpenSSL takes for signed by itself.
    authority.distinguished_name.push(DnType::CommonName, "A CA of the tests");
    let ca = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
    certify(dir.path(), &ca, "server", &["127.0.0.1"], ExtendedKeyUsagePurpose::ClientAuth);
    certify(dir.path(), &ca, "client", &["karman.test"], ExtendedKeyUsagePurpose::ClientAuth);
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (client, peer) = (free(), free());
    let arguments = [
        ("data-dir", "data".to_owned()),
        ("listen-client-urls", format!("https://{client}")),
        ("advertise-client-urls", format!("https://{client}")),
        ("listen-peer-urls", format!("http://{peer}")),
        ("initial-advertise-peer-urls", format!("http://{peer}")),
        ("initial-cluster", format!("default=http://{peer}")),
        ("cert-file", "server.pem".to_owned()),
        ("key-file", "server.key".to_owned()),
        ("trusted-ca-file", "ca.pem".to_owned()),
        ("client-cert-auth", "true".to_owned()),
    ];
    let arguments = arguments.into_iter().map(|(name, value)| format!("--{name}={value}"));
    let _etcd = Program::start("etcd", Path::new("etcd"), dir.path(), arguments);
    let gateway = |path: &str, body: &str| {
        let mut curl = Command::new("curl");
        curl.current_dir(dir.path()).args(["-sf", "--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"]);
        curl.args(["-d", body]).arg(format!("https://{client}/v3/{path}"));
        curl.output().unwrap().status.success()
    };
    wait_until("etcd answers", || gateway("kv/range", r#"{"key":"AA=="}"#));
    for (path, body) in [
        ("auth/user/add", r#"{"name":"root","password":"for the root"}"#),
        ("auth/role/add", r#"{"name":"root"}"#),
        ("auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("auth/enable", "{}"),
    ] {
        assert!(gateway(path, body), "{path}");
    }

    fs::write(dir.path().join("a.yaml"), "hosts: [a.test]\n").unwrap();
    let store = format!("etcds://root@{client}/test");
    let put = |password: &str, ca: &str| {
        let file = |name: &str| dir.path().join(name).display().to_string();
        let environment = [
            ("KARMAN_STORE", store.clone()),
            ("KARMAN_ETCD_PASSWORD", password.to_owned()),
            ("KARMAN_ETCD_CA", file(ca)),
            ("KARMAN_ETCD_CERT", file("client.pem")),
            ("KARMAN_ETCD_KEY", file("client.key")),
        ];
        karman_with(dir.path(), &["apps", "put", "-f", "a.yaml"], environment)
    };
    let done = put("for the root", "ca.pem");
    assert_eq!(done.code, 0, "{done:?}");
    let wrong = put("another one", "ca.pem");
    assert!(wrong.code != 0 && !wrong.stderr.contains("another one"), "{wrong:?}");
    let untrusted = put("for the root", "client.pem");
    assert_eq!(untrusted.code, 69, "a cluster that another CA vouches for is not reached: {untrusted:?}");
}
