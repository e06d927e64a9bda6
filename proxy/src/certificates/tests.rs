//! Certificates found by name, and refused with every reason.

use karman_contract::document::from_json;
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd};
use serde_json::{Value, json};

use super::*;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn ca() -> Issuer<'static, KeyPair> {
    Issuer::new(CertificateParams::new([]).unwrap(), KeyPair::generate().unwrap())
}

/// A certificate for these names, valid through these years.
fn issue(names: &[&str], years: (i32, i32), key: &KeyPair) -> String {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    params.signed_by(key, &ca()).unwrap().pem()
}

fn item(names: &[&str], chain: String, key: &KeyPair) -> Value {
    json!({"names": names, "chain": chain, "key": key.serialize_pem()})
}

fn good(names: &[&str]) -> Value {
    let key = KeyPair::generate().unwrap();
    item(names, issue(names, (2020, 2090), &key), &key)
}

fn document(generation: u64, certificates: Value) -> CertificatesDocument {
    from_json(&json!({"generation": generation, "certificates": certificates}).to_string()).unwrap()
}

fn table(certificates: Value) -> Certificates {
    Certificates::default().replaced_by(document(1, certificates)).unwrap().0
}

fn whys(certificates: Value) -> Vec<String> {
    let document = document(1, certificates);
    let mut reasons = Certificates::default().judge(document.items.iter(), "certificates", now());
    reasons.extend(Certificates::default().replaced_by(document).err().unwrap_or_default());
    reasons.iter().map(Reason::to_string).collect()
}

#[test]
fn exact_beats_wildcard_which_stands_for_one_label() {
    let table = table(json!({
        "exact": good(&["a.example.com"]), "wild": good(&["*.example.com"]), "bare": good(&["example.com", "127.0.0.1"]),
    }));
    let find = |name: &str| table.find(name, ECDSA).map(|found| found.id.to_string());
    for (name, wanted) in [
        ("a.example.com", Some("exact")),
        ("b.example.com", Some("wild")),
        ("a.b.example.com", None),
        ("example.com", Some("bare")),
        ("127.0.0.1", Some("bare")),
        ("com", None),
        ("", None),
        (".example.com", Some("wild")),
    ] {
        assert_eq!(find(name).as_deref(), wanted, "{name:?}");
    }
    let wild = table.find("b.example.com", ECDSA).unwrap();
    assert!(wild.covers("c.example.com") && !wild.covers("example.com") && !wild.covers("a.b.example.com"));
}

#[test]
fn a_client_gets_a_certificate_whose_signature_it_can_verify() {
    let (p256, ed25519) =
        (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let names = &["a.example.com"];
    let one = |key: &KeyPair| item(names, issue(names, (2020, 2090), key), key);
    let table = table(json!({"p256": one(&p256), "ed25519": one(&ed25519)}));
    let find = |schemes: &[SignatureScheme]| table.find("a.example.com", schemes).unwrap().id.to_string();
    assert_eq!(find(&[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]), "p256");
    assert_eq!(find(&[SignatureScheme::ED25519]), "ed25519");
    assert_eq!(find(&[SignatureScheme::RSA_PSS_SHA256]), "p256", "somebody has to be shown");
}

#[test]
fn of_two_for_a_name_the_newer_is_shown_and_the_other_is_there_when_it_goes() {
    let key = KeyPair::generate().unwrap();
    let names = &["a.example.com"];
    let before = table(json!({"old": item(names, issue(names, (2020, 2080), &key), &key)}));
    let put = json!({"new": item(names, issue(names, (2020, 2090), &key), &key)});
    let both = before.changed_by(from_json(&json!({"generation": 2, "base": 1, "put": put}).to_string()).unwrap()).unwrap().0;
    assert_eq!(both.find("a.example.com", ECDSA).unwrap().id.as_str(), "new");
    let left = both.changed_by(from_json(r#"{"generation":3,"base":2,"remove":["new"]}"#).unwrap()).unwrap().0;
    assert_eq!(left.find("a.example.com", ECDSA).unwrap().id.as_str(), "old");
    let none = left.changed_by(from_json(r#"{"generation":4,"base":3,"remove":["old"]}"#).unwrap()).unwrap().0;
    assert!(!none.covers("a.example.com") && none.is_empty());
    assert_eq!(both.len(), 2, "a table is never changed");
}

#[test]
fn a_refusal_names_everything_that_is_wrong() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let names = &["a.example.com"];
    let chain = |years| issue(names, years, &key);
    let found = whys(json!({
        "expired": item(names, chain((2010, 2011)), &key),
        "future": item(names, chain((2080, 2090)), &key),
        "garbage": {"names": names, "chain": "garbage", "key": "garbage"},
        "garbage-inside": {
            "names": names, "chain": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "key": key.serialize_pem(),
        },
        "good": item(names, chain((2020, 2090)), &key),
        "no-key": {"names": names, "chain": chain((2020, 2090)), "key": "garbage"},
        "other-names": item(&["a.example.com", "b.example.com", "*.example.com"], chain((2020, 2090)), &key),
        "two-reasons": item(names, chain((2010, 2011)), &other),
        "wrong-key": item(names, chain((2020, 2090)), &other),
    }));
    let wanted = [
        "certificates.expired.chain: it expired at 2011-01-01",
        "certificates.future.chain: it is not valid before 2080-01-01",
        "certificates.no-key.key: wanted a private key in PEM",
        "certificates.other-names.names[1]: the certificate is not for 'b.example.com'",
        "certificates.other-names.names[2]: the certificate is not for '*.example.com'",
        "certificates.two-reasons.key: it is not the key of the chain's first certificate",
        "certificates.two-reasons.chain: it expired at 2011",
        "certificates.wrong-key.key: it is not the key",
        "certificates.garbage.chain: wanted certificates in PEM",
        "certificates.garbage-inside.chain: its first certificate cannot be read",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "found {found:?}, wanted {wanted:?}");
    }
}

#[test]
fn what_has_expired_since_it_came_is_not_judged_again() {
    let key = KeyPair::generate().unwrap();
    let names = &["a.example.com"];
    let old = document(1, json!({"old": item(names, issue(names, (2010, 2011), &key), &key)}));
    let table = Certificates::default().replaced_by(old.clone()).unwrap().0;
    assert_eq!(table.judge(old.items.iter(), "certificates", now()), []);
    assert_eq!(table.iter().next().unwrap().standing(now()), Standing::Expired);
}

#[test]
fn the_hash_is_that_of_the_document_and_issuers_are_shared() {
    let (key, issuer) = (KeyPair::generate().unwrap(), good(&["ca.example.com"])["chain"].as_str().unwrap().to_owned());
    let chained = |name: &str| item(&[name], format!("{}{issuer}", issue(&[name], (2020, 2090), &key)), &key);
    let document = document(7, json!({"a": chained("a.example.com"), "b": chained("b.example.com")}));
    let table = Certificates::default().replaced_by(document.clone()).unwrap().0;
    assert_eq!(table.hash(), document.hash());
    let mut written = Vec::new();
    table.write(&mut written);
    assert_eq!(String::from_utf8(written).unwrap(), document.to_json());
    let issuers: Vec<_> = table.iter().map(|certificate| certificate.issuers()).collect();
    assert!(Arc::ptr_eq(issuers[0], issuers[1]) && **issuers[0] == *issuer);
    assert!(document.items.iter().all(|(id, item)| table.holds(id, item)));
}

#[test]
fn a_challenge_is_shown_only_to_who_asks_for_it() {
    let names = ["a.example.com"];
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.map(str::to_owned)).unwrap();
    params.custom_extensions.push(CustomExtension::new_acme_identifier(&[7; 32]));
    let challenge = item(&names, params.self_signed(&key).unwrap().pem(), &key);
    let beside = json!({"alpn": {"a.example.com": {"chain": challenge["chain"], "key": challenge["key"]}}});
    let text = json!({"generation": 1, "certificates": {}, "challenges": beside, "accounts": ["thumb"]}).to_string();
    let table = Certificates::default().replaced_by(from_json(&text).unwrap()).unwrap().0;
    assert!(table.challenge("a.example.com").is_some() && table.challenge("b.example.com").is_none());
    assert!(!table.covers("a.example.com"));
    let kept = table.changed_by(from_json(r#"{"generation":2,"base":1}"#).unwrap()).unwrap().0;
    assert!(kept.challenge("a.example.com").is_some(), "a delta that does not name them leaves them");
    let gone = kept.changed_by(from_json(r#"{"generation":3,"base":2,"challenges":{}}"#).unwrap()).unwrap().0;
    assert!(gone.challenge("a.example.com").is_none());
    assert_eq!(gone.accounts().len(), 1);
}

#[test]
fn a_key_is_never_shown() {
    let table = table(json!({"a": good(&["a.example.com"])}));
    let key = table.iter().next().unwrap().to_wire().key.0;
    let secret = key.lines().nth(1).unwrap();
    table.find("a.example.com", ECDSA).unwrap().ready();
    for shown in [format!("{table:?}"), serde_json::to_string(&table.iter().next().unwrap().status()).unwrap()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
