//! The order of documents, row by row.

use super::*;

fn stamp((epoch, generation): (u64, u64)) -> Stamp {
    Stamp { epoch, generation }
}

#[test]
fn a_whole_document_never_goes_back() {
    for (current, attempted, equal, wanted) in [
        (None, (0, 1), false, Standing::Next),
        (Some((0, 1)), (0, 2), false, Standing::Next),
        (Some((0, 1)), (0, 7), false, Standing::Next),
        (Some((0, 2)), (0, 2), true, Standing::Current),
        (Some((0, 2)), (0, 2), false, Standing::Stale),
        (Some((0, 2)), (0, 1), true, Standing::Stale),
        (Some((1, 9)), (2, 1), false, Standing::Next),
        (Some((2, 1)), (1, 99), false, Standing::Stale),
    ] {
        assert_eq!(judge_whole(current.map(stamp), stamp(attempted), || equal), wanted, "{current:?} {attempted:?}");
    }
}

#[test]
fn a_delta_needs_exactly_its_base() {
    for (current, attempted, base, equal, wanted) in [
        (None, (0, 2), 1, false, Standing::BaseMismatch),
        (Some((0, 1)), (0, 2), 1, false, Standing::Next),
        (Some((0, 1)), (0, 5), 1, false, Standing::Next),
        (Some((0, 1)), (0, 3), 2, false, Standing::BaseMismatch),
        (Some((0, 2)), (0, 2), 1, true, Standing::Current),
        (Some((0, 2)), (0, 2), 1, false, Standing::Stale),
        (Some((0, 3)), (0, 2), 1, true, Standing::Stale),
        (Some((1, 3)), (0, 9), 3, false, Standing::Stale),
        (Some((0, 1)), (1, 2), 1, false, Standing::BaseMismatch),
    ] {
        let standing = judge_delta(current.map(stamp), stamp(attempted), base, || equal);
        assert_eq!(standing, wanted, "{current:?} {attempted:?} on {base}");
    }
}

#[test]
fn more_than_half_of_ten_is_a_mass_removal() {
    for (removes, of, wanted) in
        [(9, 9, false), (5, 10, false), (6, 10, true), (10, 10, true), (50, 100, false), (51, 100, true), (0, 0, false)]
    {
        assert_eq!(is_mass_removal(removes, of), wanted, "{removes} of {of}");
    }
}
