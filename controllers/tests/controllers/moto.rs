//! A real server of AWS's APIs, moto from PyPI, in a process of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use aws_sdk_route53::Client;
use aws_sdk_route53::config::{BehaviorVersion, Credentials, Region};
use tempfile::TempDir;

use crate::program::{Program, wait_until};

pub(crate) struct Moto {
    pub(crate) address: SocketAddr,
    _server: Program,
    _dir: TempDir,
}

impl Moto {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Free a moment ago: the server has no way to tell which port it was given.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = address.port().to_string();
        let server = Program::start("moto", &test_tool("moto_server"), dir.path(), ["-H", "127.0.0.1", "-p", &port]);
        wait_until("moto listens", || TcpStream::connect(address).is_ok());
        Self { address, _server: server, _dir: dir }
    }

    /// What AWS's own tools take from the environment.
    pub(crate) fn environment(&self) -> [(&'static str, String); 4] {
        Self::environment_at(self.address)
    }

    /// The same where something stands before it.
    pub(crate) fn environment_at(address: SocketAddr) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{address}")),
            ("AWS_ACCESS_KEY_ID", "testing".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    pub(crate) fn client(&self) -> Client {
        let config = aws_sdk_route53::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", self.address))
            .credentials_provider(Credentials::new("testing", "testing", None, None, "test"))
            .build();
        Client::from_conf(config)
    }
}

/// A program that the test tools' script installed.
pub(crate) fn test_tool(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-tools/venv/bin").join(name);
    assert!(path.exists(), "{} is missing: 'make test-tools' installs it", path.display());
    path
}
