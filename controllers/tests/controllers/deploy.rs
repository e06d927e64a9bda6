//! What stands in `deploy/`: units that systemd understands and that are as closed as they say, modules that load.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::moto::test_tool;
use crate::program::{KARMAN, sibling};

/// What `systemd-analyze security` may find at most, from 0 (closed) to 10. A unit without any of our
/// lines has 9.6.
const EXPOSURE_MAX: &str = "20";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The units, with the programs that were just built in place of the installed ones.
fn units(into: &Path) -> Vec<PathBuf> {
    let script = deploy().join("systemd/drain-at-termination").canonicalize().unwrap();
    let installed = [
        ("/usr/bin/karman-proxy", sibling("karman-proxy")),
        ("/usr/bin/karman ", PathBuf::from(format!("{KARMAN} "))),
        ("/usr/lib/karman/drain-at-termination", script),
    ];
    let services = fs::read_dir(deploy().join("systemd")).unwrap().map(|file| file.unwrap().path());
    let unit = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let text = installed.iter().fold(text, |text, (from, to)| text.replace(from, &to.display().to_string()));
        let copy = into.join(path.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        copy
    };
    services.filter(|path| path.extension().is_some_and(|extension| extension == "service")).map(unit).collect()
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; 'make test-tools' installs it"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn systemd_understands_the_units() {
    let dir = tempfile::tempdir().unwrap();
    let units = units(dir.path());
    assert_eq!(units.len(), 4);
    let (is_good, text) = said(Command::new("systemd-analyze").arg("verify").args(&units));
    // Other units of this machine may have their own troubles.
    let ours: Vec<_> = text.lines().filter(|line| line.contains("karman")).collect();
    assert!(is_good && ours.is_empty(), "{text}");
}

#[test]
fn the_units_are_as_closed_as_they_say() {
    let dir = tempfile::tempdir().unwrap();
    for unit in units(dir.path()) {
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let (is_closed, text) = said(Command::new("systemd-analyze").args(["security", "--offline=true", &threshold]).arg(&unit));
        assert!(is_closed, "{}: {}", unit.display(), text.lines().last().unwrap_or_default());
    }
}

#[test]
fn the_modules_load_and_every_name_in_them_leads_somewhere() {
    let check = deploy().join("tofu/check.py");
    let (is_good, text) = said(Command::new(test_tool("python")).arg(&check).arg(deploy().join("tofu")));
    assert!(is_good && text.contains("9 folders, 0 wrongs"), "{text}");
}

#[test]
fn mistakes_in_modules_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let folders = [
        ("good", "variable \"known\" {\n  description = \"x\"\n}\n", ""),
        ("syntax", "variable \"a\" {\n", "syntax"),
        ("name", "locals {\n  a = var.nothing\n}\n", "nothing is called var.nothing"),
        ("description", "variable \"a\" {\n  type = string\n}\n", "a has no description"),
        ("format", "locals {\n  a   = 1\n}\n", "format/main.tf"),
        ("argument", "module \"a\" {\n  source = \"../good\"\n  other  = 1\n}\n", "\"other\" is not expected here"),
        (
            "output",
            "module \"a\" {\n  source = \"../good\"\n}\n\nlocals {\n  b = module.a.nothing\n}\n",
            "module a has no output nothing",
        ),
    ];
    for (name, text, _) in folders {
        fs::create_dir_all(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("main.tf"), text).unwrap();
    }
    let (is_good, text) = said(Command::new(test_tool("python")).arg(deploy().join("tofu/check.py")).arg(dir.path()));
    assert!(!is_good && !text.contains("Traceback"), "{text}");
    for (name, _, wrong) in folders {
        assert!(text.contains(wrong), "{name}: '{wrong}' is not in:\n{text}");
    }
}
