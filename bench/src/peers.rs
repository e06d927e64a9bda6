//! The proxies that are measured side by side, each doing the same job for one app.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::proxy::Proxy;

pub(crate) const HOST: &str = "todos.example.com";

/// How long a peer may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running proxy, ours or another.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    running: Running,
}

enum Running {
    Karman(Proxy),
    Other { process: Child, dir: PathBuf },
}

impl Peer {
    /// In the order in which they have their turns.
    pub(crate) const ALL: [fn(SocketAddr) -> io::Result<Self>; 3] = [Self::karman, Self::nginx, Self::haproxy];

    fn karman(app: SocketAddr) -> io::Result<Self> {
        let proxy = Proxy::start()?;
        // What is measured is the tunnel: nobody has to wait at the gate.
        let document = format!(
            r#"{{"generation":1,"apps":{{"todos":{{"hosts":["{HOST}"],"limits":{{"sockets_per_second":0}},"instances":{{"a":{{"address":"{app}"}}}}}}}}}}"#
        );
        let answer = proxy.admin()?.ask("PUT", "admin", "/v1/apps", document.as_bytes())?;
        if answer.status != 200 {
            return Err(io::Error::other(String::from_utf8_lossy(&answer.body).into_owned()));
        }
        Ok(Self { name: "karman", address: proxy.http, running: Running::Karman(proxy) })
    }

    /// With as many workers as Karman has threads.
    fn nginx(app: SocketAddr) -> io::Result<Self> {
        let (dir, address) = place("nginx")?;
        let folder = dir.display();
        let config = format!(
            "daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes {};\n\
             events {{ worker_connections 20000; }}\n\
             http {{ access_log off; proxy_buffering off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n\
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
             upstream app {{ server {app}; keepalive 64; }}\n\
             server {{ listen {address} backlog=4096; location / {{ proxy_pass http://app; proxy_http_version 1.1;\n\
             proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n\
             proxy_set_header X-Forwarded-For $remote_addr; proxy_read_timeout 120s; }} }} }}\n",
            cores()
        );
        Self::other("nginx", "/usr/sbin/nginx", dir, address, &config, |file| vec!["-c".into(), file.into()])
    }

    fn haproxy(app: SocketAddr) -> io::Result<Self> {
        let (dir, address) = place("haproxy")?;
        let config = format!(
            "global\n nbthread {}\n maxconn 9000\ndefaults\n mode http\n timeout connect 3s\n timeout client 60s\n timeout server 60s\n timeout tunnel 120s\n\
             frontend edge\n bind {address}\n option forwardfor\n default_backend app\nbackend app\n server a {app}\n",
            cores()
        );
        Self::other("haproxy", "/usr/sbin/haproxy", dir, address, &config, |file| {
            vec!["-db".into(), "-q".into(), "-f".into(), file.into()]
        })
    }

    fn other(
        name: &'static str,
        binary: &str,
        dir: PathBuf,
        address: SocketAddr,
        config: &str,
        arguments: fn(&Path) -> Vec<std::ffi::OsString>,
    ) -> io::Result<Self> {
        if !Path::new(binary).exists() {
            return Err(io::Error::other(format!("{name}, which is not installed: apt-get install {name}")));
        }
        let file = dir.join("config");
        fs::write(&file, config)?;
        let process = Command::new(binary)
            .args(arguments(&file))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let peer = Self { name, address, running: Running::Other { process, dir } };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if start.elapsed() > START_TIMEOUT {
                return Err(io::Error::other(format!("{name} did not listen within {START_TIMEOUT:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(peer)
    }

    /// Of all its processes, in bytes.
    pub(crate) fn proportional_set_size(&self) -> io::Result<u64> {
        self.processes()?.into_iter().map(proportional_set_size).sum()
    }

    /// Of all its processes, from the kernel's accounting.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        self.processes()?.into_iter().map(cpu_time).sum()
    }

    fn processes(&self) -> io::Result<Vec<u32>> {
        let main = match &self.running {
            Running::Karman(proxy) => proxy.id(),
            Running::Other { process, .. } => process.id(),
        };
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?;
        Ok(std::iter::once(main).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Running::Other { process, dir } = &mut self.running {
            // SIGTERM, so that it takes its workers along.
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn place(name: &str) -> io::Result<(PathBuf, SocketAddr)> {
    let dir = std::env::temp_dir().join(format!("karman-bench-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    Ok((dir, TcpListener::bind("127.0.0.1:0")?.local_addr()?))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A process's share of the machine's memory, in bytes.
pub(crate) fn proportional_set_size(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other("the kernel does not tell the Pss"))
}

/// User and system time of all threads, the first field of schedstat of each, in nanoseconds.
fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += stat.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}
