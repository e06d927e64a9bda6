//! Tickets, sealed and opened.

use super::*;

fn keys(keys: &[u8]) -> TicketKeys {
    let ticket = keys.iter().map(|key| SecretKey(vec![*key; 32])).collect();
    TicketKeys::new(&KeysDocument { cookie: Vec::new(), stamp: Default::default(), ticket })
}

#[test]
fn a_ticket_is_opened_by_whoever_has_its_key() {
    let ticket = keys(&[1]).seal(b"session").unwrap();
    assert_eq!(keys(&[2, 1]).open(&ticket).unwrap(), b"session", "it was rotated, and is kept");
    assert_eq!(keys(&[2]).open(&ticket), None);
    assert_ne!(keys(&[1]).seal(b"session"), Some(ticket), "no two are alike");
    assert_eq!(keys(&[]).seal(b"session"), None);
}

#[test]
fn a_ticket_that_was_touched_is_none() {
    let ticket = keys(&[1]).seal(b"session").unwrap();
    for at in 0..ticket.len() {
        let mut bad = ticket.clone();
        bad[at] ^= 1;
        assert_eq!(keys(&[1]).open(&bad), None, "byte {at}");
        assert_eq!(keys(&[1]).open(&ticket[..at]), None, "cut at {at}");
    }
}
