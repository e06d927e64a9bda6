//! Frames in pieces of every size, against a reference that has them whole.

use super::*;

/// A frame as a peer would send it.
fn frame(opcode: u8, payload: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode];
    match payload {
        0..126 => bytes.push(mask | u8::try_from(payload).unwrap()),
        126..65_536 => {
            bytes.push(mask | 126);
            bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend((payload as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend([0xaa, 0xbb, 0xcc, 0xdd]);
    }
    bytes.extend(std::iter::repeat_n(0xff, payload));
    bytes
}

#[test]
fn frames_are_counted_however_they_are_cut() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..300 {
        let mut stream = Vec::new();
        let mut ends = std::collections::BTreeSet::new();
        for _ in 0..random.usize(1..20) {
            let payload = [0, 1, 5, 125, 126, 127, 1_000, 65_535, 65_536, 70_000][random.usize(..10)];
            stream.extend(frame(random.u8(0..3), payload, random.bool()));
            ends.insert(stream.len());
        }
        let mut frames = Frames::default();
        let mut at = 0;
        while at < stream.len() {
            let cut = (at + random.usize(1..3_000)).min(stream.len());
            frames.follow(&stream[at..cut]);
            at = cut;
            assert_eq!(frames.is_between(), ends.contains(&at), "round {round}, byte {at}");
            assert_eq!(frames.count, ends.range(..=at).count() as u64);
        }
        assert!(!frames.closed);
    }
}

#[test]
fn byte_by_byte_is_the_same() {
    for masked in [false, true] {
        for payload in [0, 7, 126, 65_536] {
            let bytes = frame(2, payload, masked);
            let mut frames = Frames::default();
            for (n, byte) in bytes.iter().enumerate() {
                assert_eq!(frames.is_between(), n == 0, "{payload} {masked} byte {n}");
                assert_eq!(frames.missing() == 0, n == 0);
                assert!(frames.missing() <= bytes.len() - n, "never more than the frame has");
                frames.follow(&[*byte]);
            }
            assert!(frames.is_between());
            assert_eq!(frames.count, 1);
        }
    }
}

#[test]
fn our_own_close_frames_are_close_frames() {
    for ours in [&GOING_AWAY[..], &GOING_AWAY_MASKED[..]] {
        let mut frames = Frames::default();
        frames.follow(ours);
        assert!(frames.closed && frames.is_between() && frames.count == 1);
    }
}

#[test]
fn nothing_that_comes_in_breaks_it() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut frames = Frames::default();
    for _ in 0..2_000 {
        let junk: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        frames.follow(&junk);
    }
    let mut endless = Frames::default();
    endless.follow(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
    endless.follow(&[0; 1_000]);
    assert!(!endless.is_between());
}
