//! The CA's side of an order (RFC 8555). The only module that names the ACME library, whose next release breaks its API.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error,
    ExternalAccountKey, Identifier, Key, NewAccount, NewOrder, Order, OrderStatus,
};
use jiff::{SignedDuration, Timestamp};
use karman_contract::name::HostPattern;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, sleep};

use super::settings::{AcmeCa, Method};
use super::trouble::{Remedy, Trouble};
use crate::failure::Failure;

pub mod http;

use http::{Https, noting_retry_after};

/// An account at a CA.
#[derive(Clone)]
pub struct Client {
    account: Account,
}

/// An order as the CA last described it. After a failure it is to be opened anew: how far the CA came is not known then.
pub struct OpenOrder {
    order: Order,
    method: Method,
}

/// What has to be kept of an account, in JSON; it holds the private key.
pub struct Credentials(pub String);

/// Where an order stands at the CA.
#[derive(Debug)]
pub enum Standing {
    /// These names have to be proven first.
    Pending(Vec<Challenge>),
    Ready,
    Processing,
    /// The chain, in PEM.
    Issued(String),
}

/// What the CA wants to see for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub name: HostPattern,
    /// SHA-256 of the key authorization: what tls-alpn-01 shows (RFC 8737).
    pub digest: Vec<u8>,
}

impl Challenge {
    /// What dns-01 shows.
    pub fn dns_value(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.digest)
    }
}

/// How long one look at an order waits for the CA to move.
const POLL_WITHIN: Duration = Duration::from_secs(30);
const POLL_FIRST: Duration = Duration::from_millis(100);
const POLL_SLOWEST: Duration = Duration::from_secs(5);

impl Client {
    /// Opens an account.
    pub async fn register(ca: &AcmeCa, contact: &[String]) -> Result<(Self, Credentials), Trouble> {
        let contact: Vec<_> = contact.iter().map(|address| format!("mailto:{address}")).collect();
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let eab = external_account(ca)?;
        let builder = Account::builder_with_http(Box::new(Https::new(ca.root.as_deref())?));
        let (account, credentials) = asked(builder.create(&new, ca.directory.clone(), eab.as_ref())).await?;
        Ok((Self { account }, Credentials::of(&credentials)?))
    }

    /// Opens an account anew with the key of one that the CA has lost, so that edges go on answering for it.
    pub async fn register_again(ca: &AcmeCa, old: &Credentials) -> Result<(Self, Credentials), Trouble> {
        let old = old.read()?;
        let key = Key::from_pkcs8_der(old.private_key().clone_key()).map_err(|error| Trouble::passing(error.to_string()))?;
        let builder = Account::builder_with_http(Box::new(Https::new(ca.root.as_deref())?));
        let key = (key, old.private_key().clone_key().into());
        let (account, credentials) = asked(builder.create_from_key(key, ca.directory.clone())).await?;
        Ok((Self { account }, Credentials::of(&credentials)?))
    }

    /// Takes up an account that was opened before.
    pub async fn resume(ca: &AcmeCa, credentials: &Credentials) -> Result<Self, Trouble> {
        let builder = Account::builder_with_http(Box::new(Https::new(ca.root.as_deref())?));
        let account = asked(builder.from_credentials(credentials.read()?)).await?;
        Ok(Self { account })
    }

    /// What an edge answers http-01 challenges of this account with (RFC 8555 section 8.1).
    pub fn thumbprint(&self) -> &str {
        self.account.key_thumbprint()
    }

    /// The account's address at the CA.
    pub fn id(&self) -> &str {
        self.account.id()
    }

    /// Makes an order, whose names are going to be proven by that method.
    pub async fn new_order(
        &self,
        names: &[HostPattern],
        profile: Option<&str>,
        replaces: Option<&str>,
        method: Method,
    ) -> Result<OpenOrder, Trouble> {
        let identifiers: Vec<_> = names.iter().map(|name| Identifier::Dns(name.to_string())).collect();
        let mut order = NewOrder::new(&identifiers);
        // A profile that this CA does not offer would only be refused.
        if let Some(profile) = profile.filter(|profile| self.account.profiles().any(|offered| offered.name == *profile)) {
            order = order.profile(profile);
        }
        if let Some((authority, serial)) = replaces.and_then(|replaces| replaces.split_once('.')) {
            order = order.replaces(CertificateIdentifier { authority_key_identifier: authority.into(), serial: serial.into() });
        }
        let order = asked(self.account.new_order(&order)).await?;
        Ok(OpenOrder { order, method })
    }

    /// Asks the CA about an order that was made before.
    pub async fn open(&self, url: &str, method: Method) -> Result<OpenOrder, Trouble> {
        let order = asked(self.account.order(url.to_owned())).await?;
        Ok(OpenOrder { order, method })
    }

    /// When the CA wants the certificate renewed (RFC 9773), and when it wants to be asked again; none if it has no idea of that.
    pub async fn renewal_window(&self, replaces: &str) -> Result<Option<((Timestamp, Timestamp), SignedDuration)>, Trouble> {
        let Some((authority, serial)) = replaces.split_once('.') else { return Ok(None) };
        let id = CertificateIdentifier { authority_key_identifier: authority.into(), serial: serial.into() };
        let (result, _) = noting_retry_after(self.account.renewal_info(&id)).await;
        let (info, again) = match result {
            Ok(answer) => answer,
            Err(Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(trouble(error, None)),
        };
        let time = |time: i64| Timestamp::from_second(time).unwrap_or(Timestamp::MAX);
        let window = &info.suggested_window;
        let window = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
        Ok(Some((window, SignedDuration::try_from(again).unwrap_or(SignedDuration::MAX))))
    }

    /// Gives the account another key. The new credentials count from the moment that this returns.
    pub async fn roll_over(&mut self) -> Result<Credentials, Trouble> {
        let credentials = asked(self.account.update_key()).await?;
        Credentials::of(&credentials)
    }
}

impl OpenOrder {
    /// Where the CA has it.
    pub fn url(&self) -> &str {
        self.order.url()
    }

    /// Where it stands, as the CA last said; asks for what has to be proven, or for the certificate.
    pub async fn standing(&mut self) -> Result<Standing, Trouble> {
        match self.order.state().status {
            OrderStatus::Pending => self.challenges().await.map(Standing::Pending),
            OrderStatus::Ready => Ok(Standing::Ready),
            OrderStatus::Processing => Ok(Standing::Processing),
            OrderStatus::Valid => {
                let chain = asked(self.order.certificate()).await?;
                chain.map(Standing::Issued).ok_or_else(|| Trouble::passing("the CA has no certificate for a valid order"))
            }
            OrderStatus::Invalid => Err(self.why_invalid().await),
        }
    }

    /// Tells the CA that what it wants to see is there, and waits until it has looked.
    pub async fn prove(&mut self) -> Result<Standing, Trouble> {
        let kind = kind_of(self.method);
        let telling = async {
            let mut authorizations = self.order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                if let Some(mut challenge) = authorization.challenge(kind.clone())
                    && challenge.status == ChallengeStatus::Pending
                {
                    challenge.set_ready().await?;
                }
            }
            Ok(())
        };
        asked(telling).await?;
        self.wait_while(OrderStatus::Pending).await?;
        self.standing().await
    }

    /// Sends the request for a certificate if it was not sent yet, and waits until the certificate is there.
    pub async fn finalize(&mut self, csr: &[u8]) -> Result<Standing, Trouble> {
        if self.order.state().status == OrderStatus::Ready {
            asked(self.order.finalize_csr(csr)).await?;
        }
        self.wait_while(OrderStatus::Processing).await?;
        self.standing().await
    }

    async fn challenges(&mut self) -> Result<Vec<Challenge>, Trouble> {
        let method = self.method;
        let finding = async {
            let mut found = Vec::new();
            let mut authorizations = self.order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let name = authorization.identifier().to_string();
                let offered: BTreeSet<_> =
                    authorization.challenges.iter().map(|challenge| format!("{:?}", challenge.r#type)).collect();
                let challenge = authorization.challenge(kind_of(method));
                found.push((name, offered, challenge.map(|challenge| challenge.key_authorization().digest().as_ref().to_vec())));
            }
            Ok(found)
        };
        let found = asked(finding).await?;
        let challenges = found.into_iter().map(|(name, offered, digest)| {
            let digest = digest
                .ok_or_else(|| Trouble::of_the_name(format!("the CA does not offer {method:?} for {name}, only {offered:?}")))?;
            let name = name.parse().map_err(Trouble::of_the_name)?;
            Ok(Challenge { name, digest })
        });
        challenges.collect()
    }

    /// What the CA found when it looked, in its own words.
    async fn why_invalid(&mut self) -> Trouble {
        let own = self.order.state().error.as_ref().map(ToString::to_string);
        let mut found = Vec::new();
        let mut authorizations = self.order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
            let name = authorization.identifier().to_string();
            found.extend(errors.map(|error| format!("{name}: {}", error.detail.clone().unwrap_or_else(|| error.to_string()))));
        }
        let why = if found.is_empty() { own.unwrap_or_else(|| "no reason given".to_owned()) } else { found.join("; ") };
        Trouble::of_the_name(format!("the CA refused: {why}"))
    }

    /// Looks at an order until it is not in that state any more, or the wait is over.
    async fn wait_while(&mut self, status: OrderStatus) -> Result<(), Trouble> {
        let deadline = Instant::now() + POLL_WITHIN;
        let mut pause = POLL_FIRST;
        while self.order.state().status == status && Instant::now() < deadline {
            sleep(pause).await;
            let (result, wait) = noting_retry_after(self.order.refresh()).await;
            result.map_err(|error| trouble(error, wait))?;
            let wanted = wait.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or(pause * 2);
            pause = wanted.clamp(POLL_FIRST, POLL_SLOWEST);
        }
        Ok(())
    }
}

/// How ACME names a certificate that is to be replaced: key of its issuer and serial number (RFC 9773 section 4.1).
pub fn renewal_id(leaf: &CertificateDer<'_>) -> Option<String> {
    CertificateIdentifier::try_from(leaf).ok().map(|id| id.to_string())
}

impl Credentials {
    fn of(credentials: &AccountCredentials) -> Result<Self, Trouble> {
        serde_json::to_string(credentials).map(Self).map_err(|error| Trouble::passing(error.to_string()))
    }

    fn read(&self) -> Result<AccountCredentials, Trouble> {
        // The error's own words could repeat a piece of the key.
        serde_json::from_str(&self.0).map_err(|_| Trouble::passing("the account's credentials in the store are not readable"))
    }
}

fn external_account(ca: &AcmeCa) -> Result<Option<ExternalAccountKey>, Failure> {
    let Some(eab) = &ca.eab else { return Ok(None) };
    let path = eab.key_file.display();
    let text = std::fs::read_to_string(&eab.key_file).map_err(|error| Failure::system(&path, &error))?;
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='));
    let key = key.map_err(|_| Failure::data(format!("{path}: wanted the account's MAC key in base64url")))?;
    Ok(Some(ExternalAccountKey::new(eab.kid.clone(), &key)))
}

fn kind_of(method: Method) -> ChallengeType {
    match method {
        Method::Http01 | Method::None => ChallengeType::Http01,
        Method::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Method::Dns01 => ChallengeType::Dns01,
    }
}

/// One exchange with the CA; its failure comes with what it means for the order.
async fn asked<T>(exchange: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    let (result, wait) = noting_retry_after(exchange).await;
    result.map_err(|error| trouble(error, wait))
}

fn trouble(error: Error, wait: Option<SignedDuration>) -> Trouble {
    let Error::Api(problem) = &error else {
        return Trouble { remedy: Remedy::GoOn, what: error.to_string(), wait, of_the_ca: true };
    };
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    let status = problem.status.unwrap_or_default();
    let detail = problem.detail.as_deref().unwrap_or_default();
    let (remedy, of_the_ca) = match kind {
        "accountDoesNotExist" => (Remedy::NewAccount, true),
        "alreadyReplaced" => (Remedy::DropReplaces, false),
        // Some limits are those of the account, others those of a name.
        "rateLimited" => (Remedy::GoOn, detail.contains("new orders")),
        "badNonce" => (Remedy::Repeat, true),
        "serverInternal" => (Remedy::GoOn, true),
        // A key that was replaced and lost on the way is one that no account has any more.
        _ if detail.contains("JWS verification") => (Remedy::NewAccount, true),
        "unauthorized" if status == 404 => (Remedy::StartAgain, false),
        _ if status == 404 => (Remedy::StartAgain, false),
        _ if status == 429 || status >= 500 => (Remedy::GoOn, true),
        _ => (Remedy::StartAgain, false),
    };
    let wait = wait.or_else(|| wait_in(detail, Timestamp::now()));
    Trouble { remedy, what: error.to_string(), wait, of_the_ca }
}

/// Let's Encrypt also says it in words: `retry after 2026-12-01 10:00:00 UTC`.
fn wait_in(detail: &str, now: Timestamp) -> Option<SignedDuration> {
    let (_, rest) = detail.split_once("retry after ")?;
    let (date, rest) = rest.split_at_checked(10)?;
    let time = rest.get(1..9)?;
    let until: Timestamp = format!("{date}T{time}Z").parse().ok()?;
    Some(now.duration_until(until).max(SignedDuration::ZERO))
}
