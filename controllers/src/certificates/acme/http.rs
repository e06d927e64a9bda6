//! HTTPS to a CA, with limits that the ACME library has not: on time, on size, on what is taken for an answer.
//!
//! It also remembers how long an answer asked to be left alone, which the library drops with the error.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::failure::Failure;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 1024 * 1024;
const IDLE_CONNECTION: Duration = Duration::from_secs(20);
/// A CA without an idea of when to ask about renewals again.
const RENEWALS_AGAIN_SECONDS: &str = "21600";

tokio::task_local! {
    /// What the last answer of this task's exchange said under `Retry-After`.
    static RETRY: Cell<Option<SignedDuration>>;
    /// Whether any answer came in this piece of the task's work.
    static ANSWERED: Cell<bool>;
}

/// Does a piece of work, and says with its result whether a CA answered anything meanwhile.
pub async fn noting_answers<T>(work: impl Future<Output = T>) -> (T, bool) {
    let noting = async {
        let result = work.await;
        (result, ANSWERED.with(Cell::get))
    };
    ANSWERED.scope(Cell::new(false), noting).await
}

/// Runs an exchange with a CA, and says with its result how long the last answer asked to be left alone.
pub async fn noting_retry_after<T>(exchange: impl Future<Output = T>) -> (T, Option<SignedDuration>) {
    let noting = async {
        let result = exchange.await;
        (result, RETRY.with(Cell::take))
    };
    RETRY.scope(Cell::new(None), noting).await
}

#[derive(Clone)]
pub struct Https {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
}

impl Https {
    /// Trusts the root in that file; without one, what the machine trusts.
    pub fn new(root: Option<&Path>) -> Result<Self, Failure> {
        let builder = HttpsConnectorBuilder::new();
        let builder = match root {
            Some(path) => builder.with_tls_config(trusting(path)?),
            None => builder
                .try_with_platform_verifier()
                .map_err(|error| Failure::system("the machine's trusted roots", &io::Error::other(error.to_string())))?,
        };
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        tcp.enforce_http(false);
        // Head and body of a request are two writes: without this the second waits for the first's acknowledgement.
        tcp.set_nodelay(true);
        let connector = builder.https_only().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_CONNECTION).build(connector);
        Ok(Self { client })
    }
}

fn trusting(path: &Path) -> Result<ClientConfig, Failure> {
    let unusable = |why: String| Failure::data(format!("{}: {why}", path.display()));
    let roots = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for root in roots {
        let root = root.map_err(|error| unusable(error.to_string()))?;
        store.add(root).map_err(|error| unusable(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(ClientConfig::builder().with_root_certificates(store).with_no_client_auth())
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let uri = request.uri().clone();
        let asks_about_renewal = request.method() == hyper::Method::GET;
        let answer = self.client.request(request);
        Box::pin(async move {
            let whole = async {
                let (parts, body) = answer.await?.into_parts();
                let body = Limited::new(body, BODY_BYTES_MAX).collect().await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>((parts, body.to_bytes()))
            };
            let (mut parts, body) = match timeout(ANSWER_WITHIN, whole).await {
                Ok(answer) => answer.map_err(|error| other(format!("{uri}: {}", with_causes(&*error))))?,
                Err(_) => return Err(other(format!("{uri}: no answer within {} s", ANSWER_WITHIN.as_secs()))),
            };
            let retry = retry_after(&parts.headers, Timestamp::now());
            // Outside of `noting_retry_after` and `noting_answers` nobody wants to know.
            let _ = RETRY.try_with(|cell| cell.set(retry));
            let _ = ANSWERED.try_with(|cell| cell.set(true));
            let is_json =
                parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.contains("json")));
            if !is_json && (parts.status.is_client_error() || parts.status.is_server_error()) {
                return Err(other(format!("{uri}: the answer is {} and says nothing more", parts.status)));
            }
            if asks_about_renewal && retry.is_none() {
                parts.headers.insert(RETRY_AFTER, HeaderValue::from_static(RENEWALS_AGAIN_SECONDS));
            }
            Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
        })
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(SignedDuration::from_secs(seconds.into())),
        Err(_) => Some(now.duration_until(rfc2822::parse(text).ok()?.timestamp()).max(SignedDuration::ZERO)),
    }
}

fn other(what: String) -> Error {
    Error::Other(what.into())
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
