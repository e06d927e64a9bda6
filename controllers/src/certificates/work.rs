//! One step of one order: whatever the CA sees is written down by the caller before the next.

use jiff::Timestamp;
use karman_contract::name::HostPattern;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::acme::{Challenge, Client, OpenOrder, Standing};
use super::entry::domain_of;
use super::order::{AlpnChallenge, Attempt, Order, Shown, ShownTxt, place_of_key};
use super::pair::Pair;
use super::settings::{AcmeCa, Method};
use super::trouble::{Remedy, Trouble};
use super::txt::{Provider, Txt};
use crate::sealing::Sealing;

/// What an order works with.
pub struct Bench<'a> {
    pub id: &'a str,
    pub ca: &'a AcmeCa,
    pub client: &'a Client,
    pub method: Method,
    pub sealing: &'a Sealing,
    pub dns: Option<Arc<dyn Provider>>,
    /// The certificate that a new order renews, as ACME names it.
    pub replaces: Option<String>,
    /// The order between two steps, so that the CA is not asked again for what it just said.
    pub open: Option<OpenOrder>,
}

/// What came of a step.
pub enum Step {
    /// The order is to be saved, and another step to be taken.
    Save,
    /// The order is to be saved; before the next step, edges have to have what it shows.
    SaveAndPublish,
    Issued(Pair),
}

impl Bench<'_> {
    pub async fn step(&mut self, order: &mut Order) -> Result<Step, Trouble> {
        let names = order.names.clone();
        let drop_replaces = order.drop_replaces;
        let Some(attempt) = order.attempt.as_mut().filter(|attempt| attempt.ca == self.ca.name) else {
            order.attempt = Some(self.begin(drop_replaces)?);
            return Ok(Step::Save);
        };
        let Some(url) = &attempt.url else {
            let profile = self.ca.profile.as_deref();
            let replaces = attempt.replaces.as_deref();
            let open =
                self.client.new_order(&names, profile, replaces, self.method).await.map_err(|trouble| match trouble.remedy {
                    // What it has against the order may be what that replaces: the certificate of another account, say.
                    Remedy::StartAgain if replaces.is_some() => Trouble { remedy: Remedy::DropReplaces, ..trouble },
                    _ => trouble,
                })?;
            attempt.url = Some(open.url().to_owned());
            attempt.at = Timestamp::now();
            self.open = Some(open);
            return Ok(Step::Save);
        };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.client.open(url, self.method).await?,
        };
        let step = self.advance(&mut open, attempt, &names).await?;
        self.open = Some(open);
        Ok(step)
    }

    async fn advance(&self, open: &mut OpenOrder, attempt: &mut Attempt, names: &[HostPattern]) -> Result<Step, Trouble> {
        match open.standing().await? {
            Standing::Pending(challenges) => match &attempt.shown {
                None => {
                    let shown = self.show(&challenges)?;
                    let step = if shown.alpn.is_empty() { Step::Save } else { Step::SaveAndPublish };
                    attempt.shown = Some(shown);
                    Ok(step)
                }
                Some(shown) => {
                    self.write_txt(shown).await?;
                    match open.prove().await? {
                        Standing::Pending(_) => Err(Trouble::passing("the CA has not looked at the proof yet")),
                        _ => Ok(Step::Save),
                    }
                }
            },
            Standing::Ready | Standing::Processing => {
                let csr = self.request(attempt, names)?;
                match open.finalize(&csr).await? {
                    Standing::Issued(chain) => self.accept(attempt, names, &chain),
                    _ => Err(Trouble::passing("the CA is still making the certificate")),
                }
            }
            Standing::Issued(chain) => self.accept(attempt, names, &chain),
        }
    }

    fn begin(&self, drop_replaces: bool) -> Result<Attempt, Trouble> {
        let key = KeyPair::generate().map_err(|error| Trouble::passing(error.to_string()))?;
        let key = self.sealing.seal(&place_of_key(self.id), key.serialize_pem().as_bytes())?;
        let replaces = self.replaces.clone().filter(|_| !drop_replaces);
        Ok(Attempt { ca: self.ca.name.clone(), at: Timestamp::now(), key, replaces, url: None, shown: None })
    }

    fn show(&self, challenges: &[Challenge]) -> Result<Shown, Trouble> {
        let mut shown = Shown::default();
        match self.method {
            // Any edge answers for any token of the account.
            Method::Http01 | Method::None => {}
            Method::Dns01 => shown.txt.extend(challenges.iter().map(|challenge| {
                let Txt { name, value } = Txt::challenge(domain_of(&challenge.name), challenge.dns_value());
                ShownTxt { name, value }
            })),
            Method::TlsAlpn01 => {
                let answers =
                    challenges.iter().map(|challenge| Ok((domain_of(&challenge.name).clone(), self.alpn_answer(challenge)?)));
                shown.alpn = answers.collect::<Result<BTreeMap<_, _>, Trouble>>()?;
            }
        }
        Ok(shown)
    }

    fn alpn_answer(&self, challenge: &Challenge) -> Result<AlpnChallenge, Trouble> {
        let failed = |error: rcgen::Error| Trouble::passing(error.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![challenge.name.name().to_owned()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions.push(CustomExtension::new_acme_identifier(&challenge.digest));
        let chain = params.self_signed(&key).map_err(failed)?.pem();
        let key = self.sealing.seal(&place_of_key(self.id), key.serialize_pem().as_bytes())?;
        Ok(AlpnChallenge { chain, key })
    }

    async fn write_txt(&self, shown: &Shown) -> Result<(), Trouble> {
        for txt in &shown.txt {
            let dns =
                self.dns.as_ref().ok_or_else(|| Trouble::of_the_name("nobody writes TXT records: 'certificates.dns' is gone"))?;
            dns.present(&txt.into()).await?;
            dns.wait(&txt.into()).await?;
        }
        Ok(())
    }

    fn request(&self, attempt: &Attempt, names: &[HostPattern]) -> Result<Vec<u8>, Trouble> {
        let failed = |error: rcgen::Error| Trouble::passing(error.to_string());
        let key = KeyPair::from_pem(&self.key_of(attempt)?).map_err(failed)?;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&key).map_err(failed)?.der().to_vec())
    }

    fn key_of(&self, attempt: &Attempt) -> Result<String, Trouble> {
        let opened = self.sealing.reveal_text(&place_of_key(self.id), &attempt.key);
        // Without its key an order is worth nothing.
        opened.map_err(|error| Trouble { remedy: Remedy::StartAgain, ..Trouble::passing(format!("the order's key: {error}")) })
    }

    /// A CA errs like anybody: what it sends is checked like what a person brings.
    fn accept(&self, attempt: &Attempt, names: &[HostPattern], chain: &str) -> Result<Step, Trouble> {
        let pair = Pair::read(chain, &self.key_of(attempt)?, Timestamp::now())
            .map_err(|reasons| Trouble::of_the_name(format!("the CA sent no good certificate: {}", reasons.join("; "))))?;
        match names.iter().find(|name| !pair.names.contains(name)) {
            Some(missing) => Err(Trouble::of_the_name(format!("the CA sent a certificate that is not for {missing}"))),
            None => Ok(Step::Issued(pair)),
        }
    }
}
