//! What fuzzers were given and have found, run as ordinary tests: `proxy/fuzz` has the targets.

use std::path::Path;

use crate::checks;

type Check = fn(&[u8]);

#[test]
fn every_corpus_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let targets: [(&str, Check); 9] = [
        ("access_log", checks::access_log),
        ("chunks", checks::chunks),
        ("cookie", checks::cookie),
        ("documents", checks::documents),
        ("frames", checks::frames),
        ("head", checks::head),
        ("host", checks::host),
        ("introduction", checks::introduction),
        ("saved_state", checks::saved_state),
    ];
    let mut found: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, targets.map(|(name, _)| name), "every folder has its check");
    for (name, check) in targets {
        let inputs: Vec<_> = std::fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name} has inputs");
        for input in inputs {
            println!("{}", input.display());
            check(&std::fs::read(&input).unwrap());
        }
    }
}
