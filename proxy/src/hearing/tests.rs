//! What is waited for, and how long (row L02 of `proxy/BAD-INPUT.md`).

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing yet, of a body whose length was told.
const NOTHING: Heard =
    Heard { bytes: 0, is_whole: false, is_in_pieces: false, since: Duration::ZERO, patience: PATIENCE, is_slow: false };

#[test]
fn what_is_there_goes_on_at_once() {
    for heard in [
        Heard { is_whole: true, ..NOTHING },
        Heard { bytes: 1, is_whole: true, is_slow: true, ..NOTHING },
        Heard { bytes: HEARD_BYTES, is_slow: true, ..NOTHING },
        Heard { bytes: 1, is_in_pieces: true, is_slow: true, ..NOTHING },
        Heard { bytes: 1, since: HEARING, ..NOTHING },
    ] {
        assert_eq!(heard.next(), Next::GoOn, "{heard:?}");
    }
}

#[test]
fn a_part_is_waited_for_until_its_client_falls_silent() {
    for heard in [
        Heard { bytes: 1, ..NOTHING },
        Heard { bytes: HEARD_BYTES - 1, is_slow: true, since: PATIENCE, patience: SILENCE * 2, ..NOTHING },
    ] {
        assert_eq!(heard.next(), Next::WaitAndGoOn(SILENCE), "{heard:?}");
    }
    let spent = Heard { bytes: 1, is_slow: true, patience: SILENCE, ..NOTHING };
    assert_eq!(spent.next(), Next::WaitAndRefuse(SILENCE));
}

#[test]
fn nothing_is_waited_for_as_long_as_patience_lasts_unless_it_is_a_conversation() {
    assert_eq!(NOTHING.next(), Next::WaitAndRefuse(PATIENCE));
    assert_eq!(Heard { is_in_pieces: true, ..NOTHING }.next(), Next::WaitAndGoOn(HEARING));
}
