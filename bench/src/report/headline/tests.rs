//! The README shows what the newest committed results say.

use std::fs;
use std::path::Path;

use super::*;
use crate::report::newest;

#[test]
fn the_readme_shows_the_newest_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = newest(&root.join("bench/results")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let named = folder.strip_prefix(root).unwrap().display().to_string();
    let wanted = into_readme(&readme, &Results::read_all(&folder).unwrap(), &named);
    assert!(wanted.is_some_and(|wanted| wanted == readme), "run 'target/release/karman-bench headline', and commit README.md");
}

#[test]
fn a_readme_without_marks_is_left_alone() {
    assert_eq!(into_readme("# A project\n", &[], "bench/results/a"), None);
}

#[test]
fn every_picture_is_one_that_a_scenario_draws() {
    for (name, picture, _) in PICTURES {
        let scenario = scenarios::of_name(name);
        assert!(scenario.is_some_and(|scenario| scenario.plots.iter().any(|plot| plot.file == picture)), "{name}-{picture}");
    }
    for (name, ..) in ROWS {
        assert!(scenarios::of_name(name).is_some(), "{name}");
    }
}
