//! Real files, and everything that a crash, a full disk or a bad block can leave of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const KIND: DocumentName = DocumentName::Apps;

fn at(generation: u64) -> Stamp {
    Stamp { epoch: 7, generation }
}

/// Large enough for a checksum to matter, small enough to be torn at every byte.
fn document(generation: u64) -> Vec<u8> {
    format!("{{\"generation\":{generation},\"apps\":{{\"todos\":\"a document\"}}}}").into_bytes()
}

fn delta(generation: u64) -> Vec<u8> {
    format!("{{\"to\":{generation}}}").into_bytes()
}

fn open(dir: &TempDir) -> (Saved, Loaded) {
    Saved::open(dir.path(), KIND).unwrap()
}

fn save_whole(saved: &mut Saved, generation: u64) {
    saved.save_whole(at(generation), |out| out.write_all(&document(generation)).unwrap()).unwrap();
}

fn save_deltas(saved: &mut Saved, generations: impl IntoIterator<Item = u64>) {
    for generation in generations {
        saved.save_delta(at(generation), &delta(generation)).unwrap();
    }
}

fn loaded(snapshot: u64, deltas: impl IntoIterator<Item = u64>) -> Loaded {
    let deltas = deltas.into_iter().map(delta).collect();
    Loaded { snapshot: Some((at(snapshot), document(snapshot))), deltas, warnings: Vec::new() }
}

fn path(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| file_name(&entry.unwrap().path())).collect();
    names.sort();
    names
}

/// Snapshot 1 with the deltas 2 and 3; snapshot 3, as a journal that has grown is replaced; its deltas 4 and 5.
fn two_snapshots() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    save_whole(&mut saved, 1);
    save_deltas(&mut saved, [2, 3]);
    save_whole(&mut saved, 3);
    save_deltas(&mut saved, [4, 5]);
    assert_eq!(names(&dir), ["apps-7-1.v1.journal", "apps-7-1.v1.json", "apps-7-3.v1.journal", "apps-7-3.v1.json"]);
    dir
}

/// Loads; checks that there is a warning exactly if `flawed` names a file; gives the rest.
fn load_with_warning(dir: &TempDir, flawed: Option<&str>) -> (Saved, Loaded) {
    let (saved, mut loaded) = open(dir);
    let warnings = std::mem::take(&mut loaded.warnings);
    match flawed {
        None => assert_eq!(warnings, Vec::<String>::new()),
        Some(name) => {
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains(&format!("/{name}: ")), "{warnings:?}");
            assert!(saved.wants_whole(), "after {warnings:?}");
        }
    }
    (saved, loaded)
}

#[test]
fn what_was_saved_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, nothing) = open(&dir);
    assert_eq!(nothing, Loaded::default());
    assert!(saved.wants_whole());
    save_whole(&mut saved, 1);
    assert!(!saved.wants_whole());
    save_deltas(&mut saved, [2, 5]);

    let (mut saved, found) = open(&dir);
    assert_eq!(found, loaded(1, [2, 5]));
    assert!(!saved.wants_whole());
    save_deltas(&mut saved, [6]);
    assert_eq!(open(&dir).1, loaded(1, [2, 5, 6]), "the journal goes on after a restart");
}

#[test]
fn a_missing_directory_is_made_and_nobody_else_reads_in_it() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data/edge");
    let (mut saved, _) = Saved::open(&dir, DocumentName::Keys).unwrap();
    save_whole(&mut saved, 1);
    save_deltas(&mut saved, [2]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn kinds_share_a_directory_and_do_not_see_each_other() {
    let dir = two_snapshots();
    let (mut pages, found) = Saved::open(dir.path(), DocumentName::Pages).unwrap();
    assert_eq!(found, Loaded::default());
    for generation in 10..15 {
        save_whole(&mut pages, generation);
    }
    assert_eq!(open(&dir).1, loaded(3, [4, 5]));
}

#[test]
fn three_snapshots_are_kept_with_their_journals() {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    for generation in [1, 10, 100, 1_000, 10_000] {
        save_whole(&mut saved, generation);
        save_deltas(&mut saved, [generation + 1]);
    }
    let kept = ["100", "1000", "10000"];
    let wanted: Vec<_> =
        kept.iter().flat_map(|kept| ["journal", "json"].map(|kind| format!("apps-7-{kept}.v1.{kind}"))).collect();
    assert_eq!(names(&dir), wanted);
    assert_eq!(open(&dir).1, loaded(10_000, [10_001]));
}

#[test]
fn a_higher_epoch_is_newer_whatever_its_generation() {
    let dir = two_snapshots();
    let (mut saved, _) = open(&dir);
    let made_anew = Stamp { epoch: 8, generation: 1 };
    saved.save_whole(made_anew, |out| out.write_all(&document(1)).unwrap()).unwrap();
    assert_eq!(open(&dir).1.snapshot, Some((made_anew, document(1))));
}

#[test]
fn a_snapshot_torn_at_any_byte_falls_back_and_loses_nothing() {
    let name = "apps-7-3.v1.json";
    let whole = fs::read(path(&two_snapshots(), name)).unwrap();
    for length in 0..whole.len() {
        let dir = two_snapshots();
        fs::write(path(&dir, name), &whole[..length]).unwrap();
        let (mut saved, found) = load_with_warning(&dir, Some(name));
        assert_eq!(found, loaded(1, [2, 3, 4, 5]), "torn at {length}");

        save_whole(&mut saved, 6);
        assert_eq!(open(&dir).1, loaded(6, []), "torn at {length}");
    }
}

#[test]
fn a_journal_torn_at_any_byte_gives_the_records_before() {
    let name = "apps-7-3.v1.journal";
    let whole = fs::read(path(&two_snapshots(), name)).unwrap();
    let first = whole.len() / 2;
    for length in 0..whole.len() {
        let dir = two_snapshots();
        fs::write(path(&dir, name), &whole[..length]).unwrap();
        let flawed = Some(name).filter(|_| length != 0 && length != first);
        let (mut saved, found) = load_with_warning(&dir, flawed);
        assert_eq!(found, if length < first { loaded(3, []) } else { loaded(3, [4]) }, "torn at {length}");

        if flawed.is_some() {
            saved.save_delta(at(6), &delta(6)).expect_err("a torn journal is not appended to");
            assert_eq!(fs::read(path(&dir, name)).unwrap(), whole[..length], "and not cut off");
            save_whole(&mut saved, 6);
        }
    }
}

#[test]
fn a_flipped_bit_never_gives_anything_but_what_was_saved() {
    for (name, at_worst) in [("apps-7-3.v1.json", loaded(1, [2, 3, 4, 5])), ("apps-7-3.v1.journal", loaded(3, []))] {
        let whole = fs::read(path(&two_snapshots(), name)).unwrap();
        let dir = two_snapshots();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(path(&dir, name), &flipped).unwrap();
            let (_, found) = load_with_warning(&dir, Some(name));
            let first_record_holds = name.ends_with("journal") && bit / 8 >= whole.len() / 2;
            let wanted = if first_record_holds { &loaded(3, [4]) } else { &at_worst };
            assert_eq!(&found, wanted, "bit {bit} of {name}");
        }
    }
}

#[test]
fn with_two_flaws_the_document_reaches_as_far_as_it_can() {
    let dir = two_snapshots();
    fs::write(path(&dir, "apps-7-3.v1.json"), "").unwrap();
    let journal = path(&dir, "apps-7-1.v1.journal");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 1]).unwrap();
    let (_, found) = open(&dir);
    assert_eq!((found.snapshot, found.deltas), (Some((at(1), document(1))), vec![delta(2)]));
    let dir = dir.path().display();
    assert_eq!(
        found.warnings,
        [
            format!("{dir}/apps-7-3.v1.json: its header is broken; used apps-7-1.v1.json up to epoch 7 generation 2 instead"),
            format!(
                "{dir}/apps-7-1.v1.journal: the record at byte {} is not whole: it is cut off; \
                 used apps-7-1.v1.json up to epoch 7 generation 2 instead",
                whole.len() / 2
            ),
        ]
    );
}

#[test]
fn when_nothing_is_whole_the_warnings_say_so() {
    let dir = two_snapshots();
    for name in ["apps-7-1.v1.json", "apps-7-3.v1.json"] {
        fs::write(path(&dir, name), &fs::read(path(&dir, name)).unwrap()[..200]).unwrap();
    }
    let (mut saved, found) = open(&dir);
    assert_eq!(found.snapshot, None);
    assert_eq!(found.warnings.len(), 2);
    let wanted = "apps-7-3.v1.json: found 8 bytes, its header says 46; nothing older is left to use instead";
    assert!(found.warnings[0].ends_with(wanted), "{:?}", found.warnings);
    save_whole(&mut saved, 9);
    assert_eq!(open(&dir).1, loaded(9, []));
}

#[test]
fn a_file_of_a_newer_format_is_passed_over_and_never_removed() {
    let dir = two_snapshots();
    let from_the_future = path(&dir, "apps-7-3.v1.json");
    let text = String::from_utf8(fs::read(&from_the_future).unwrap()).unwrap().replace("\"format\":1", "\"format\":2");
    fs::write(&from_the_future, &text).unwrap();
    for name in ["apps-7-2.v2.json", "apps-7-5.v2.json", "apps-7-5.v2.journal"] {
        fs::write(path(&dir, name), "{\"format\":2,\"whatever\":\"comes\"}").unwrap();
    }

    let (mut saved, found) = open(&dir);
    assert_eq!((found.snapshot, found.deltas), (Some((at(1), document(1))), [2, 3, 4, 5].map(delta).to_vec()));
    assert_eq!(found.warnings.len(), 4, "{:?}", found.warnings);
    for warning in &found.warnings {
        assert!(warning.contains("found format 2, this release reads format 1; used apps-7-1.v1.json up to"), "{warning}");
    }

    for generation in 5..12 {
        save_whole(&mut saved, generation);
    }
    assert_eq!(open(&dir).1, loaded(11, []));
    assert_eq!(fs::read_to_string(&from_the_future).unwrap(), text);
    for name in ["apps-7-2.v2.json", "apps-7-5.v2.json", "apps-7-5.v2.journal"] {
        assert!(path(&dir, name).exists(), "{name} was removed");
    }
}

#[test]
fn a_crash_before_the_rename_changes_nothing_and_is_cleaned_up() {
    let dir = two_snapshots();
    fs::copy(path(&dir, "apps-7-3.v1.json"), path(&dir, "apps-1.unfinished")).unwrap();
    let (mut saved, found) = open(&dir);
    assert_eq!(found, loaded(3, [4, 5]));
    assert!(path(&dir, "apps-1.unfinished").exists(), "loading changes no file");
    save_whole(&mut saved, 6);
    assert!(!path(&dir, "apps-1.unfinished").exists());
}

#[test]
fn on_a_full_disk_a_snapshot_is_an_error_and_the_earlier_ones_hold() {
    let dir = two_snapshots();
    let before = names(&dir);
    let (mut saved, _) = open(&dir);
    for size in [1, 10 * 1024 * 1024] {
        symlink("/dev/full", files::unfinished_path(dir.path(), KIND)).unwrap();
        // Whoever writes a document need not look at errors.
        let result = saved.save_whole(at(6), |out| (0..size / 1_000 + 1).for_each(|_| drop(out.write(&[b'x'; 1_000]))));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(&dir), before);
        assert_eq!(open(&dir).1, loaded(3, [4, 5]));
    }

    assert!(saved.wants_whole());
    saved.save_delta(at(7), &delta(7)).expect_err("generation 6 is not on disk");
    save_whole(&mut saved, 7);
    save_deltas(&mut saved, [8]);
    assert_eq!(open(&dir).1, loaded(7, [8]), "it goes on once there is room");
}

#[test]
fn on_a_full_disk_a_delta_is_an_error_until_a_snapshot_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    save_whole(&mut saved, 1);
    symlink("/dev/full", path(&dir, "apps-7-1.v1.journal")).unwrap();
    assert_eq!(saved.save_delta(at(2), &delta(2)).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(saved.wants_whole());
    fs::remove_file(path(&dir, "apps-7-1.v1.journal")).unwrap();
    saved.save_delta(at(3), &delta(3)).expect_err("generation 2 is missing");
    assert_eq!(open(&dir).1, loaded(1, []));
    save_whole(&mut saved, 3);
    save_deltas(&mut saved, [4]);
    assert_eq!(open(&dir).1, loaded(3, [4]));
}

#[test]
fn a_directory_that_takes_no_files_can_be_read_and_says_why_it_does_not_save() {
    // Nobody makes files there, not even root.
    let (mut saved, found) = Saved::open(Path::new("/proc"), KIND).unwrap();
    assert_eq!(found, Loaded::default());
    saved.save_whole(at(1), |out| out.write_all(b"{}").unwrap()).unwrap_err();
    assert!(saved.wants_whole());
    Saved::open(Path::new("/proc/none/such"), KIND).unwrap_err();
}

#[test]
fn a_directory_that_vanishes_is_an_error_and_no_panic() {
    let dir = two_snapshots();
    let (mut saved, _) = open(&dir);
    fs::remove_dir_all(dir.path()).unwrap();
    saved.save_delta(at(6), &delta(6)).unwrap_err();
    saved.save_whole(at(6), |out| out.write_all(b"{}").unwrap()).unwrap_err();
}

#[test]
fn a_journal_that_outgrew_its_snapshot_asks_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    save_whole(&mut saved, 1);
    let half = vec![b' '; JOURNAL_BYTES_MIN as usize / 2];
    saved.save_delta(at(2), &half).unwrap();
    assert!(!saved.wants_whole(), "it is larger than the snapshot, but small");
    saved.save_delta(at(3), &half).unwrap();
    assert!(saved.wants_whole());
    assert!(open(&dir).0.wants_whole(), "a restart does not forget it");
    save_deltas(&mut saved, [4]);
    save_whole(&mut saved, 4);
    assert!(!saved.wants_whole());

    // A large snapshot carries a large journal.
    saved.save_whole(at(5), |out| (0..4).for_each(|_| out.write_all(&half).unwrap())).unwrap();
    saved.save_delta(at(6), &[half.as_slice(); 3].concat()).unwrap();
    assert!(!saved.wants_whole());
}

#[test]
fn a_delta_stands_on_what_was_saved_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    saved.save_delta(at(1), &delta(1)).expect_err("there is no snapshot");
    for wrong in [at(3), at(2), Stamp { epoch: 8, generation: 9 }] {
        save_whole(&mut saved, 3);
        saved.save_delta(wrong, &delta(9)).expect_err("it leads nowhere");
    }
    assert_eq!(open(&dir).1, loaded(3, []));
}

#[test]
fn a_document_never_goes_back() {
    let dir = two_snapshots();
    let (mut saved, _) = open(&dir);
    saved.save_whole(at(4), |_| panic!("there is nothing to write")).expect_err("5 is on disk");
    assert_eq!(open(&dir).1, loaded(3, [4, 5]));
    save_whole(&mut saved, 5);
}

#[test]
fn a_journal_that_somebody_else_wrote_to_is_left_alone() {
    let dir = two_snapshots();
    let (mut ours, _) = open(&dir);
    let (mut theirs, _) = open(&dir);
    save_deltas(&mut theirs, [6]);
    ours.save_delta(at(6), &delta(6)).expect_err("the journal is longer than it was");
    assert_eq!(open(&dir).1, loaded(3, [4, 5, 6]));
}

#[test]
fn a_snapshot_that_its_reader_refuses_is_followed_by_the_one_before() {
    let dir = two_snapshots();
    let (mut saved, _) = open(&dir);
    let found = saved.fall_back("apps.todos: no such field").unwrap();
    assert_eq!((found.snapshot, found.deltas), (Some((at(1), document(1))), [2, 3, 4, 5].map(delta).to_vec()));
    assert!(found.warnings[0].contains("apps-7-3.v1.json: apps.todos: no such field; used apps-7-1"), "{:?}", found.warnings);

    let found = saved.fall_back("nor here").unwrap();
    assert_eq!((found.snapshot, found.warnings.len()), (None, 2));
    assert!(saved.wants_whole());
    assert_eq!(saved.fall_back("there is no more").unwrap().snapshot, None);
}

#[test]
fn a_reader_that_refuses_a_delta_saves_the_whole_next() {
    let dir = two_snapshots();
    let (mut saved, _) = open(&dir);
    saved.expect_whole();
    assert!(saved.wants_whole());
    saved.save_delta(at(6), &delta(6)).unwrap_err();
}

#[test]
fn what_an_unusable_file_led_to_does_not_come_back() {
    // Snapshots 1, 10 and 20 with journals, of which 10 and 20 break: the proxy goes on from 11.
    let dir = tempfile::tempdir().unwrap();
    let (mut saved, _) = open(&dir);
    for generation in [1, 10, 20] {
        save_whole(&mut saved, generation);
        save_deltas(&mut saved, [generation + 1]);
    }
    for name in ["apps-7-10.v1.json", "apps-7-20.v1.json"] {
        fs::write(path(&dir, name), "").unwrap();
    }
    let (mut saved, found) = open(&dir);
    assert_eq!(found.deltas, [2].map(delta));
    save_whole(&mut saved, 10);
    assert_eq!(open(&dir).1, loaded(10, []), "the old journal of 10 is gone");
    save_deltas(&mut saved, [20]);
    assert_eq!(open(&dir).1, loaded(10, [20]), "and that of 20 too");
}
