//! Dependencies point one way: the edges between rooms are those of docs/architecture.md, and make no ring.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::harness;

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The one ring: a quorum is asked for by the kind of a plan, and a plan is made of what the hierarchy says.
const RING: [&str; 2] = ["config", "plan"];

/// What a file's code takes from other rooms: the word behind `crate::`, or each first word of `crate::{…}`.
fn taken(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            rooms.insert(word(rest));
            continue;
        };
        let (mut depth, mut first) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                c if first && !c.is_whitespace() => {
                    rooms.insert(word(&group[at..]));
                    first = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

/// The code of a file without its comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut of_tests = false;
    let kept = text.lines().filter(|line| {
        let tests = std::mem::replace(&mut of_tests, line.trim() == "#[cfg(test)]");
        !tests && !line.trim_start().starts_with("//")
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Whether a file of `src/` holds nothing but tests.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    path.components().any(|part| part.as_os_str() == "tests") || name == "tests" || name.ends_with("_tests")
}

/// The edges of the code, and the rooms that there are.
fn found() -> Edges {
    let src = harness::repository().join("src");
    let mut edges = Edges::new();
    for path in harness::files(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs").to_string();
        let rust = path.extension().is_some_and(|kind| kind == "rs");
        if rust && !is_test(inside) && !["lib", "main"].contains(&room.as_str()) {
            let taken = taken(&code(&fs::read_to_string(&path).unwrap()));
            edges.entry(room).or_default().extend(taken);
        }
    }
    for (room, taken) in &mut edges {
        taken.remove(room);
    }
    edges
}

/// The words in backticks of a cell, each up to its `::`.
fn named(cell: &str) -> impl Iterator<Item = String> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans.map(|span| span.split("::").next().unwrap_or_default().to_string())
}

/// The table of the document: the rooms, what each uses, and the rooms that all may use.
fn declared() -> (Edges, BTreeSet<String>) {
    let text = fs::read_to_string(harness::repository().join("docs/architecture.md")).unwrap();
    let table = text.split("| room | owns | touches | uses |").nth(1).expect("the table of rooms");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let (mut edges, mut shared) = (Edges::new(), BTreeSet::new());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [rooms, owns, _, uses] = cells[..] else { panic!("{row}") };
        let uses: BTreeSet<String> = named(uses).collect();
        for room in named(rooms).filter(|room| !room.ends_with(".rs")) {
            if owns.trim() == "shared types" {
                shared.insert(room.clone());
            }
            edges.insert(room, uses.clone());
        }
    }
    (edges, shared)
}

#[test]
fn the_rooms_use_what_the_architecture_says_and_nothing_else() {
    assert_eq!(taken("use crate::{a::{x, y}, b};\nuse crate::c::d;"), ["a", "b", "c"].map(String::from).into());
    let (declared, shared) = declared();
    let found = found();
    let rooms: Vec<&String> = found.keys().collect();
    assert_eq!(rooms, declared.keys().collect::<Vec<_>>(), "the table has each room of src/ once");
    for (room, taken) in &found {
        if room == "cli" {
            // The verbs bring the rooms together.
            continue;
        }
        // A shared type is used by all, and the rooms of shared types name what they use besides.
        let taken: BTreeSet<&String> = taken.iter().filter(|used| !shared.contains(*used)).collect();
        let table: BTreeSet<&String> = declared[room].iter().filter(|used| !shared.contains(*used)).collect();
        assert_eq!(taken, table, "what `{room}` uses (left: in src/, right: in docs/architecture.md)");
    }
}

#[test]
fn no_rooms_use_each_other_in_a_ring() {
    let mut left = found();
    left.get_mut(RING[0]).unwrap().remove(RING[1]);
    while !left.is_empty() {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, taken)| !taken.iter().any(|used| left.contains_key(used)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!free.is_empty(), "a ring is among {left:?}");
        left.retain(|room, _| !free.contains(room));
    }
}

/// What only one room may touch, by the name of the crate or of the type.
const ONLY: [(&str, &[&str]); 3] =
    [("cryptoki", &["token"]), ("rcgen", &["tbs", "requests"]), ("landlock", &["sandbox", "linter"])];

#[test]
fn some_crates_are_one_rooms_alone() {
    let src = harness::repository().join("src");
    for path in harness::files(&src).iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")) {
        let inside = path.strip_prefix(&src).unwrap();
        let text = code(&fs::read_to_string(path).unwrap());
        for (name, rooms) in ONLY.iter().filter(|_| !is_test(inside)) {
            let used = text.contains(&format!("use {name}")) || text.contains(&format!("{name}::"));
            let allowed = rooms.iter().any(|room| inside.starts_with(room) || inside.starts_with(format!("{room}.rs")));
            assert!(!used || allowed, "{}: `{name}` belongs to {rooms:?} alone", inside.display());
        }
    }
}
