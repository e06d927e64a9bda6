//! A small ACME CA that does what a test says: renewal windows (RFC 9773), limits, refusals. It believes every proof.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use super::https::{HttpsServer, Identity};

/// How a new order is answered that gets none.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) detail: &'static str,
    pub(super) retry_after: Option<&'static str>,
}

#[derive(Default)]
pub(super) struct Ledger {
    /// For the next orders.
    pub(super) refusals: VecDeque<Refusal>,
    /// For the next orders that say what they replace.
    pub(super) renewal_refusals: VecDeque<Refusal>,
    /// For the next requests for a certificate.
    pub(super) finalize_refusals: VecDeque<Refusal>,
    /// Hours from now, for the certificates by the order of their issue; the last one is for all that follow.
    pub(super) windows: Vec<(i64, i64)>,
    /// What each new order said it replaces, those that were refused too.
    pub(super) replaces: Vec<Option<String>>,
    /// The ids under which somebody asked for a renewal window.
    pub(super) asked: Vec<String>,
    issued: Vec<Issued>,
    names: Vec<String>,
}

struct Issued {
    chain: String,
}

pub(super) struct ScriptedCa {
    pub(super) address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    _server: HttpsServer,
}

impl ScriptedCa {
    pub(super) fn start(address: SocketAddr, identity: &Identity) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Arc::new(CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap());
        let server = HttpsServer::start(address, identity, {
            let ledger = Arc::clone(&ledger);
            move |request| {
                let answer = answer(&request, &format!("https://{address}"), &issuer, &mut ledger.lock().unwrap());
                std::future::ready(Some(answer))
            }
        });
        Self { address, ledger, _server: server }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
}

fn answer(
    request: &Request<Bytes>,
    base: &str,
    issuer: &CertifiedIssuer<'static, KeyPair>,
    ledger: &mut Ledger,
) -> Response<Bytes> {
    let path: Vec<_> = request.uri().path().trim_start_matches('/').split('/').collect();
    let index = path.get(1).and_then(|index| index.parse::<usize>().ok()).unwrap_or(0);
    match path[0] {
        "dir" => reply(
            200,
            &json!({
                "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/new-order"),
                "revokeCert": format!("{base}/revoke"), "keyChange": format!("{base}/key"), "renewalInfo": format!("{base}/renewal"),
            }),
        ),
        "nonce" => reply(200, &Value::Null),
        "account" => with(reply(201, &json!({"status": "valid"})), "location", &format!("{base}/account/1")),
        "new-order" => new_order(&payload(request), base, ledger),
        "order" => reply(200, &order(base, ledger, index, index < ledger.issued.len())),
        "authorization" => reply(
            200,
            &json!({
                "status": "valid", "identifier": {"type": "dns", "value": ledger.names[index]}, "challenges": [],
            }),
        ),
        "finalize" if !ledger.finalize_refusals.is_empty() => refusal(&ledger.finalize_refusals.pop_front().unwrap()),
        "finalize" => {
            let csr = URL_SAFE_NO_PAD.decode(payload(request)["csr"].as_str().unwrap()).unwrap();
            ledger.issued.push(issue(&csr, issuer));
            reply(200, &order(base, ledger, index, true))
        }
        "certificate" => {
            let mut answer = reply(200, &Value::Null);
            *answer.body_mut() = Bytes::from(ledger.issued[index].chain.clone());
            answer
        }
        "renewal" if request.method() == Method::GET => renewal(path[1], ledger),
        _ => refusal(&Refusal { status: 404, kind: "malformed", detail: "no such thing", retry_after: None }),
    }
}

fn new_order(payload: &Value, base: &str, ledger: &mut Ledger) -> Response<Bytes> {
    let replaces = payload["replaces"].as_str().map(str::to_owned);
    let refusals = if replaces.is_some() { &mut ledger.renewal_refusals } else { &mut ledger.refusals };
    let found = refusals.pop_front();
    ledger.replaces.push(replaces);
    if let Some(found) = found {
        return refusal(&found);
    }
    ledger.names.push(payload["identifiers"][0]["value"].as_str().unwrap().to_owned());
    let index = ledger.names.len() - 1;
    let mut order = order(base, ledger, index, false);
    if let Some(replaces) = payload.get("replaces") {
        order["replaces"] = replaces.clone();
    }
    with(reply(201, &order), "location", &format!("{base}/order/{index}"))
}

fn order(base: &str, ledger: &Ledger, index: usize, is_valid: bool) -> Value {
    json!({
        "status": if is_valid { "valid" } else { "ready" },
        "identifiers": [{"type": "dns", "value": ledger.names[index]}],
        "authorizations": [format!("{base}/authorization/{index}")],
        "finalize": format!("{base}/finalize/{index}"),
        "certificate": format!("{base}/certificate/{index}"),
    })
}

/// Good for 90 days, as Let's Encrypt's were for long.
fn issue(csr: &[u8], issuer: &CertifiedIssuer<'static, KeyPair>) -> Issued {
    let mut csr = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
    csr.params.use_authority_key_identifier_extension = true;
    let time = |days: i64| {
        let seconds = (Timestamp::now() + SignedDuration::from_hours(24 * days)).as_second();
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).unwrap())
    };
    (csr.params.not_before, csr.params.not_after) = (time(-1).into(), time(89).into());
    Issued { chain: csr.signed_by(issuer).unwrap().pem() + &issuer.pem() }
}

fn renewal(id: &str, ledger: &mut Ledger) -> Response<Bytes> {
    if !ledger.asked.contains(&id.to_owned()) {
        ledger.asked.push(id.to_owned());
    }
    let index = ledger.asked.iter().position(|asked| asked == id).unwrap();
    let Some((start, end)) = ledger.windows.get(index).or_else(|| ledger.windows.last()) else {
        return refusal(&Refusal { status: 404, kind: "malformed", detail: "no idea", retry_after: None });
    };
    let time = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
    let window = json!({"suggestedWindow": {"start": time(*start), "end": time(*end)}});
    with(reply(200, &window), "retry-after", "21600")
}

/// What a signed request says; the signature is not looked at.
fn payload(request: &Request<Bytes>) -> Value {
    let signed: Value = serde_json::from_slice(request.body()).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap()).unwrap()).unwrap_or_default()
}

fn reply(status: u16, body: &Value) -> Response<Bytes> {
    let nonce = format!("nonce-{}", fastrand::u64(..));
    let answer = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("replay-nonce", nonce);
    answer.header("content-type", "application/json").body(Bytes::from(body.to_string())).unwrap()
}

fn refusal(refusal: &Refusal) -> Response<Bytes> {
    let Refusal { status, kind, detail, retry_after } = refusal;
    let body = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status});
    let mut answer = with(reply(*status, &body), "content-type", "application/problem+json; charset=utf-8");
    if kind.is_empty() {
        // What a balancer says whose CA is gone.
        answer = with(answer, "content-type", "text/html");
        *answer.body_mut() = Bytes::from_static(b"<html>upstream unavailable</html>");
    }
    match retry_after {
        Some(retry_after) => with(answer, "retry-after", retry_after),
        None => answer,
    }
}

fn with(mut answer: Response<Bytes>, name: &'static str, value: &str) -> Response<Bytes> {
    answer.headers_mut().insert(name, value.parse().unwrap());
    answer
}
