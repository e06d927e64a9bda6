//! Who finds a seat.

use super::*;

#[test]
fn an_owner_has_no_more_seats_than_are_free_and_gives_them_back() {
    let room = Arc::new(WaitingRoom::new(10));
    let (hog, lamb): (Owner, Owner) = ("hog".parse().unwrap(), "lamb".parse().unwrap());
    let mut hogs: Vec<_> = std::iter::from_fn(|| room.enter(&hog)).collect();
    assert_eq!(hogs.len(), 5);
    let lambs: Vec<_> = std::iter::from_fn(|| room.enter(&lamb)).collect();
    assert_eq!(lambs.len(), 3, "of the five that are left");
    assert!((room.used_ratio() - 0.8).abs() < 1e-9);
    hogs.truncate(1);
    assert!(room.enter(&hog).is_some());
    drop((hogs, lambs));
    assert!(lock(&room.taken).by_owner.is_empty());
    assert!(WaitingRoom::new(0).used_ratio() < 1e-9);
    assert!(Arc::new(WaitingRoom::new(0)).enter(&lamb).is_none());
}
