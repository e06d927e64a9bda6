//! The proxy's admin socket, seen from the controllers' side.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use karman_contract::answer::{Applied, Refusal};
use karman_contract::app::App;
use karman_contract::document::{DocumentName, Stamp};
use karman_contract::drain::DrainOrder;
use karman_contract::edges::Edges;
use karman_contract::load::{Busiest, Load};
use karman_contract::name::{AppId, CertificateId};
use karman_contract::read::{At, Reason, parse_json};
use karman_contract::status::{AppStatus, AppsPage, CertificateStatus, CertificatesPage, Confirm, ConfirmAnswer, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::failure::{Exit, Failure};

/// A proxy that takes longer than this to answer is as good as gone.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// The largest answer that is read; a page of apps is far smaller.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What fits into a `sockaddr_un` with its closing NUL.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How many apps or certificates are asked for at once.
const ITEMS_A_PAGE: usize = 1_000;

/// One connection a call: a proxy that was started anew is never spoken to through an old one.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
}

#[derive(Debug)]
pub enum AdminError {
    /// Nobody is there, or went away while we spoke.
    Gone(String),
    /// The proxy said no, and why.
    Refused(Refusal),
    /// The proxy said something that this release does not understand.
    Strange(String),
}

impl Admin {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn status(&self) -> Result<Status, AdminError> {
        self.get("/v1/status").await
    }

    /// One app, as the proxy wrote it, with what is live.
    pub async fn app(&self, id: &AppId) -> Result<AppStatus<Value>, AdminError> {
        self.get(&format!("/v1/apps/{id}")).await
    }

    /// All apps, as the proxy wrote them.
    pub async fn apps(&self) -> Result<(Stamp, BTreeMap<AppId, Value>), AdminError> {
        self.all("apps", |page: AppsPage<Value>| (page.stamp, page.apps, page.next)).await
    }

    /// Which apps make the load, seen for [`Load::SECONDS`].
    pub async fn load(&self, by: Busiest, limit: usize) -> Result<Load, AdminError> {
        self.get(&format!("/v1/load?by={}&limit={limit}&seconds={}", by.as_str(), Load::SECONDS)).await
    }

    /// What the proxy tells of all certificates.
    pub async fn certificates(&self) -> Result<(Stamp, BTreeMap<CertificateId, CertificateStatus>), AdminError> {
        self.all("certificates", |page: CertificatesPage| (page.stamp, page.certificates, page.next)).await
    }

    /// A whole list, page by page. Pages of different generations are never mixed.
    async fn all<P: DeserializeOwned, K: Ord + Display, V>(
        &self,
        list: &str,
        parts: impl Fn(P) -> (Stamp, BTreeMap<K, V>, Option<K>),
    ) -> Result<(Stamp, BTreeMap<K, V>), AdminError> {
        let first = format!("/v1/{list}?limit={ITEMS_A_PAGE}");
        let (mut items, mut stamp, mut path) = (BTreeMap::new(), None, first.clone());
        loop {
            let (now, page, next) = parts(self.get(&path).await?);
            if stamp.is_some_and(|stamp| stamp != now) {
                items.clear();
                stamp = None;
                path.clone_from(&first);
                continue;
            }
            stamp = Some(now);
            items.extend(page);
            match next {
                Some(next) => path = format!("/v1/{list}?after={next}&limit={ITEMS_A_PAGE}"),
                None => return Ok((now, items)),
            }
        }
    }

    /// Replaces a whole document.
    pub async fn put(&self, document: DocumentName, body: Vec<u8>) -> Result<Applied, AdminError> {
        self.change(Method::PUT, document, body).await
    }

    /// Changes a document on top of the generation that the proxy has.
    pub async fn patch(&self, document: DocumentName, body: Vec<u8>) -> Result<Applied, AdminError> {
        self.change(Method::PATCH, document, body).await
    }

    /// Tells the proxy what it should have; the answer names what is not so.
    pub async fn confirm(&self, confirm: &Confirm) -> Result<Vec<DocumentName>, AdminError> {
        let answer = self.call(Method::POST, "/v1/confirm", json(confirm)).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::CONFLICT => Ok(read_json::<ConfirmAnswer>(&body_of(answer).await?)?.differs),
            _ => Err(refusal(answer).await),
        }
    }

    /// Tells the edge with how many it shares what an instance takes.
    pub async fn share(&self, edges: Edges) -> Result<Edges, AdminError> {
        self.done(self.call(Method::PUT, "/v1/edges", json(&edges)).await?).await
    }

    /// Orders the edge to move its clients elsewhere; what is so then.
    pub async fn drain(&self, order: &DrainOrder) -> Result<Status, AdminError> {
        self.done(self.call(Method::PUT, "/v1/drain", json(order)).await?).await
    }

    /// Takes the order back.
    pub async fn stay(&self) -> Result<Status, AdminError> {
        self.done(self.call(Method::DELETE, "/v1/drain", Vec::new()).await?).await
    }

    async fn done<T: DeserializeOwned>(&self, answer: Response<Incoming>) -> Result<T, AdminError> {
        if answer.status() == StatusCode::OK { read_json(&body_of(answer).await?) } else { Err(refusal(answer).await) }
    }

    /// The stream of events after `since`.
    pub async fn events(&self, since: Option<u64>) -> Result<Response<Incoming>, AdminError> {
        let mut request = Request::get("/v1/events").header("host", "localhost").header("accept", "text/event-stream");
        if let Some(id) = since {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Full::default()).map_err(|error| AdminError::Strange(error.to_string()))?;
        let answer = self.send(request).await?;
        if answer.status() == StatusCode::OK { Ok(answer) } else { Err(refusal(answer).await) }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdminError> {
        self.done(self.call(Method::GET, path, Vec::new()).await?).await
    }

    async fn change(&self, method: Method, document: DocumentName, body: Vec<u8>) -> Result<Applied, AdminError> {
        self.done(self.call(method, &format!("/v1/{document}"), body).await?).await
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, AdminError> {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Full::from(Bytes::from(body)));
        self.send(request.map_err(|error| AdminError::Strange(error.to_string()))?).await
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        if self.socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return UnixStream::connect(&self.socket).await;
        }
        // The path of a socket has to be short; from its own folder it is.
        let folder = File::open(self.socket.parent().unwrap_or(&self.socket))?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        UnixStream::connect(short.join(self.socket.file_name().unwrap_or_default())).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, AdminError> {
        let stream = self.connect().await.map_err(|error| AdminError::Gone(error.to_string()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer's body, or when the proxy goes away.
        tokio::spawn(connection);
        match timeout(ANSWER_TIME_MAX, sender.send_request(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(AdminError::Gone(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs()))),
        }
    }
}

/// Reads apps as the proxy wrote them.
pub fn read_apps(apps: BTreeMap<AppId, Value>) -> Result<BTreeMap<AppId, App>, AdminError> {
    apps.into_iter().map(|(id, app)| read_app(&id, &app).map(|app| (id, app))).collect()
}

/// Reads one app as the proxy wrote it; a newer proxy may have written what we cannot read.
pub fn read_app(id: &AppId, app: &Value) -> Result<App, AdminError> {
    let strange = |why: String| AdminError::Strange(format!("the proxy's app '{id}' cannot be read: {why}"));
    let node = parse_json(app.to_string().as_bytes()).map_err(|malformed| strange(malformed.why))?;
    let mut reasons = Vec::new();
    let app = App::read(id, &At::root(&node), &mut reasons);
    app.ok_or_else(|| strange(reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")))
}

async fn body_of(answer: Response<Incoming>) -> Result<Bytes, AdminError> {
    let body = timeout(ANSWER_TIME_MAX, Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect()).await;
    match body {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(AdminError::Gone(error.to_string())),
        Err(_) => Err(AdminError::Gone(format!("no whole answer within {} s", ANSWER_TIME_MAX.as_secs()))),
    }
}

async fn refusal(answer: Response<Incoming>) -> AdminError {
    let status = answer.status();
    match body_of(answer).await {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(refusal) => AdminError::Refused(refusal),
            Err(_) => {
                let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                AdminError::Strange(format!("it answered {status}: {text}"))
            }
        },
        Err(error) => error,
    }
}

/// What is told to a proxy has names for keys, and cannot fail.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| AdminError::Strange(format!("its answer cannot be read: {error}")))
}

impl AdminError {
    pub fn failure(self, socket: &Path) -> Failure {
        match self {
            Self::Gone(why) => Failure::nothing_answers(socket, why),
            Self::Refused(refusal) => Failure::data(format!("the proxy says: {refusal}")),
            Self::Strange(why) => {
                let message =
                    format!("something answers at {}, but not as a Karman proxy of this release: {why}", socket.display());
                Failure::new(Exit::Unavailable, message)
            }
        }
    }
}

impl Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) => write!(f, "nothing answers: {why}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Strange(why) => f.write_str(why),
        }
    }
}

impl From<hyper::Error> for AdminError {
    fn from(error: hyper::Error) -> Self {
        use std::error::Error as _;
        // The cause says more than "connection error".
        Self::Gone(error.source().map_or_else(|| error.to_string(), ToString::to_string))
    }
}
