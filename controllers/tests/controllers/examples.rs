//! The examples of `config/`: they load as they stand there.

use std::path::Path;

use crate::program::karman;

#[test]
fn the_example_store_loads_without_a_mistake() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let checked = karman(&config, &["publish", "--check", "--store", "store"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "2 apps, no mistake\n"), "{checked:?}");
    let notes = karman(&config, &["app", "notes", "--effective", "--store", "store"]);
    assert!(notes.stdout.contains("plans/small.yaml:4"), "{notes:?}");
}

#[test]
fn a_check_names_every_mistake_of_a_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("data/apps")).unwrap();
    for (name, text) in
        [("defaults.yaml", "colour: red\n"), ("apps/a.yaml", "hosts: [x.test]\n"), ("apps/b.yaml", "hosts: [x.test]\n")]
    {
        std::fs::write(dir.path().join("data").join(name), text).unwrap();
    }
    let checked = karman(dir.path(), &["publish", "--check"]);
    assert_eq!(checked.code, 65, "{checked:?}");
    for words in
        ["defaults.yaml:1:1: colour: there is no such field", "apps/b.yaml:1:9: hosts[0]: 'x.test' belongs to the app 'a'"]
    {
        assert!(checked.stderr.contains(words), "{checked:?}");
    }
    assert!(!dir.path().join("data/.karman").exists(), "looking changes nothing");
}
