//! Which pairs of chain and key are taken, and what is said of those that are not.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

use super::sample::names;
use crate::certificates::local::LocalCa;
use crate::certificates::pair::{PEM_BYTES_MAX, Pair};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn params(common_name: &str, names: &[&str], days: (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let time = |days: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW + days * DAY).unwrap());
    (params.not_before, params.not_after) = (time(days.0).into(), time(days.1).into());
    params
}

struct Cas {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

fn cas() -> Cas {
    let ca = |name: &str| {
        let mut params = params(name, &[], (-10, 1_000));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(ca("Root"), KeyPair::generate().unwrap()).unwrap();
    let intermediate = CertifiedIssuer::signed_by(ca("Intermediate"), KeyPair::generate().unwrap(), &root).unwrap();
    Cas { root, intermediate }
}

fn leaf(cas: &Cas, names: &[&str], days: (i64, i64)) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (params("Leaf", names, days).signed_by(&key, &cas.intermediate).unwrap(), key)
}

fn refused(chain: &str, key: &str) -> String {
    Pair::read(chain, key, now()).unwrap_err().join("; ")
}

#[test]
fn a_good_pair_is_taken_without_the_root_and_whatever_the_line_ends() {
    let cas = cas();
    let (leaf, key) = leaf(&cas, &["a.example.com", "*.example.com"], (-1, 89));
    let without_root = leaf.pem() + &cas.intermediate.pem();
    let with_root = format!("\u{feff}{without_root}{}", cas.root.pem()).replace('\n', "\r\n");
    for chain in [&without_root, &with_root] {
        let pair = Pair::read(chain, &key.serialize_pem(), now()).unwrap();
        assert_eq!(pair.names, names(&["a.example.com", "*.example.com"]));
        assert_eq!(pair.chain.matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!((pair.not_before.as_second(), pair.not_after.as_second()), (NOW - DAY, NOW + 89 * DAY));
        assert!(!pair.is_rsa && !format!("{pair:?}").contains("PRIVATE"));
        assert!(Pair::read(&pair.chain, &pair.key, now()).is_ok(), "what is stored is as good");
    }
}

#[test]
fn a_self_signed_pair_is_whole_by_itself() {
    let key = KeyPair::generate().unwrap();
    let own = params("Own", &["a.example.com"], (-1, 89)).self_signed(&key).unwrap();
    assert!(Pair::read(&own.pem(), &key.serialize_pem(), now()).is_ok());
}

#[test]
fn every_reason_is_named_at_once() {
    let cas = cas();
    let (ended, _) = leaf(&cas, &[], (-30, -1));
    let other = KeyPair::generate().unwrap();
    let found = refused(&(ended.pem() + &cas.root.pem()), &other.serialize_pem());
    for reason in [
        "has no name",
        "the certificate ended at",
        "wanted that of its issuer CN=Intermediate",
        "is not that of the chain's first",
    ] {
        assert!(found.contains(reason), "{reason} is missing in: {found}");
    }
}

#[test]
fn each_mistake_has_its_words() {
    let cas = cas();
    let (good, key) = leaf(&cas, &["a.example.com"], (-1, 89));
    let (future, future_key) = leaf(&cas, &["a.example.com"], (1, 89));
    let (chain, pem) = (good.pem() + &cas.intermediate.pem(), key.serialize_pem());
    let reversed = cas.intermediate.pem() + &good.pem();
    let imitation = self::cas();
    let cut = chain[..chain.len() / 3].to_owned();
    let der = STANDARD.encode(good.der().as_ref());
    let bytes: Vec<_> = (0..9).map(|_| good.pem()).collect();
    let passphrase = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let large = "x".repeat(PEM_BYTES_MAX + 1);
    for (chain, key, expected) in [
        (good.pem().as_str(), pem.as_str(), "the certificate of its issuer CN=Intermediate is missing"),
        (&reversed, &pem, "is that of a CA, wanted the leaf first"),
        (&(good.pem() + &imitation.intermediate.pem()), &pem, "was not signed with the key of CN=Intermediate"),
        (&(future.pem() + &cas.intermediate.pem()), &future_key.serialize_pem(), "begins only at"),
        ("", &pem, "the chain is empty"),
        (&chain, "", "the key is empty"),
        (&cut, &pem, "the chain"),
        (&der, &pem, "the chain has no certificate"),
        (nonsense, &pem, "no X.509 certificate"),
        (&bytes.concat(), &pem, "the chain has 9 certificates"),
        (&large, &pem, "the chain has 65537 bytes"),
        (&chain, passphrase, "encrypted with a passphrase"),
        (&chain, &chain, "the key is no private key"),
        (&pem, &pem, "the chain has no certificate"),
    ] {
        let found = refused(chain, key);
        assert!(found.contains(expected), "{expected} is missing in: {found}");
        assert!(!found.contains(&pem[40..80]), "a key is never repeated");
    }
}

#[test]
fn the_local_ca_issues_for_a_day_what_any_client_can_check() {
    let ca = LocalCa::new(now()).unwrap();
    let pair = ca.issue(&names(&["todos.localhost", "127.0.0.1"]), now()).unwrap();
    assert_eq!(pair.names, names(&["todos.localhost", "127.0.0.1"]));
    assert_eq!(pair.not_after.as_second(), NOW + DAY);
    assert_eq!(pair.chain.matches("BEGIN").count(), 1, "the root is trusted, not sent");
}
