//! Holds the sources to the module ranks and to what each module may know.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module and rank.
const RANKS: [(&str, u8); 17] = [
    ("domain", 0),
    ("verify", 1),
    ("catalogue", 1),
    ("plan", 1),
    ("normalise", 2),
    ("store", 2),
    ("upstream", 2),
    ("receive", 3),
    ("execute", 3),
    ("report", 3),
    ("web", 4),
    ("worker", 4),
    ("config", 5),
    ("sandbox", 5),
    ("app", 6),
    ("cli", 7),
    ("simulation", 8),
];

/// The one edge inside a rank: planning reads the catalogue.
const SIDEWAYS: [(&str, &str); 1] = [("plan", "catalogue")];

/// Pure modules name none of these.
const PURE: [&str; 5] = ["domain", "verify", "catalogue", "plan", "normalise"];
const IMPURE_WORDS: [&str; 11] = [
    "tokio::",
    "sqlx::",
    "rusqlite::",
    "reqwest::",
    "actix_web::",
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "async fn",
    "SystemTime",
    "Instant::now",
];

/// Who alone may name a crate.
const OWNERS: [(&str, &[&str]); 4] = [
    ("sqlx::", &["store"]),
    ("rusqlite::", &["store"]),
    ("actix_web::", &["web", "app"]),
    // The command line is a client of our own API.
    ("reqwest::", &["upstream", "cli"]),
];

fn sources() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "main" || name == "lib" {
            continue;
        }
        let mut files = Vec::new();
        collect(&path, &mut files);
        modules.insert(name, files);
    }
    modules
}

fn collect(path: &Path, files: &mut Vec<(PathBuf, String)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        files.push((path.to_owned(), std::fs::read_to_string(path).unwrap()));
    }
}

/// The part before the tests, without comments.
fn code(text: &str) -> String {
    let body = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = body
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Names of files that are tests as a whole.
const TEST_FILES: [&str; 9] = [
    "tests",
    "properties",
    "trial",
    "contract",
    "generated",
    "stage",
    "faults",
    "fixtures",
    "table",
];

/// Whether a file is tests as a whole.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let parent = path
        .parent()
        .and_then(|parent| parent.file_name())
        .unwrap_or_default();
    parent == "tests" || TEST_FILES.contains(&name.as_str()) || name.contains("tests")
}

#[test]
fn every_module_has_a_rank() {
    let known: BTreeSet<&str> = RANKS.iter().map(|(name, _)| *name).collect();
    let there = sources();
    let there: BTreeSet<&str> = there.keys().map(String::as_str).collect();
    assert_eq!(there, known);
}

#[test]
fn a_module_imports_only_from_lower_ranks() {
    let ranks: BTreeMap<&str, u8> = RANKS.into_iter().collect();
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        for (path, text) in files.iter().filter(|(path, _)| !is_test(path)) {
            let code = code(text);
            for (other, rank) in &ranks {
                if *other == module || !code.contains(&format!("crate::{other}")) {
                    continue;
                }
                let allowed =
                    *rank < ranks[module.as_str()] || SIDEWAYS.contains(&(module.as_str(), other));
                if !allowed {
                    wrong.push(format!("{} uses {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        if !PURE.contains(&module.as_str()) {
            continue;
        }
        for (path, text) in files.iter().filter(|(path, _)| !is_test(path)) {
            let code = code(text);
            wrong.extend(
                IMPURE_WORDS
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{} names {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_outside_part_has_one_place() {
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        for (path, text) in files.iter().filter(|(path, _)| !is_test(path)) {
            let code = code(text);
            for (word, owners) in OWNERS {
                if code.contains(word) && !owners.contains(&module.as_str()) {
                    wrong.push(format!("{} names {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_open_with_what_they_are_and_stay_short() {
    let mut wrong = Vec::new();
    for files in sources().into_values() {
        for (path, text) in files {
            if !text.starts_with("//!") {
                wrong.push(format!("{} does not open with //!", path.display()));
            }
            let lines = code(&text).lines().count();
            if lines > 450 && !is_test(&path) {
                wrong.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_module_hides_behind_an_empty_name() {
    for files in sources().into_values() {
        for (path, _) in files {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            for empty in [
                "util", "utils", "common", "helpers", "manager", "handler", "misc",
            ] {
                assert_ne!(name, empty, "{}", path.display());
            }
        }
    }
}
