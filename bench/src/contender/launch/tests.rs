//! A signal that a busy master loses is sent again.

use std::cell::Cell;

use super::*;

#[test]
fn a_signal_is_sent_until_it_is_heard_and_no_more() {
    // Lost twice, heard the third time.
    let said = Cell::new(0);
    let heard = until_heard(Duration::from_millis(20), || said.set(said.get() + 1), || said.get() == 3);
    assert!(heard.is_ok());
    assert_eq!(said.get(), 3);
}
