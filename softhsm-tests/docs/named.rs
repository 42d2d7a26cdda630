//! What the documents name exists: commands, tests, files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::fences::pages;
use crate::{COLDROOT, blocks, checkout, commands, harness, read};

/// Labels of data objects in a token, and first lines of notes, which begin as a command does.
pub const OBJECTS: [&str; 2] = ["coldroot log", "coldroot mark"];

#[test]
fn every_command_in_the_documents_is_one_of_the_program() {
    let help = |words: &[&str]| {
        let out = Command::new(COLDROOT).args(words).arg("--help").output().unwrap();
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    };
    let mut seen = 0;
    let explained = "ceremony-scripts/hierarchy.example.toml".to_string();
    for page in pages().into_iter().chain([explained]) {
        let text = read(&page);
        let fenced = blocks(&text).into_iter().flat_map(|(_, body)| commands(&body)).map(|(line, _)| line);
        let mut fence = false;
        let prose = text.lines().filter(|line| {
            fence ^= line.starts_with("```");
            !fence
        });
        // A span of code never goes over the end of a line here.
        let inline = prose.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_string);
        for line in fenced.chain(inline) {
            let line = line.split(" #").next().unwrap_or_default();
            let program = |word: &str| word == "coldroot" || word.ends_with("/coldroot");
            let mut words = line.split_whitespace().skip_while(|word| !program(word)).skip(1).peekable();
            while let Some(option) = words.next_if(|word| word.starts_with("--")) {
                // Of the options of every verb these take a value; the others are flags.
                if ["--station", "--copy", "--now", "--pin-fd", "--shares-fd"].contains(&option) {
                    words.next();
                }
            }
            let a_verb = |w: &str| w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && w != "help";
            let Some(verb) =
                words.next_if(|word| a_verb(word)).filter(|_| !OBJECTS.iter().any(|object| line.starts_with(object)))
            else {
                continue;
            };
            let sub = words
                .next_if(|w| ["token", "record"].contains(&verb) && !w.starts_with(['[', '<', '-']))
                .unwrap_or_default();
            let path: Vec<&str> = [verb, sub].into_iter().filter(|w| !w.is_empty()).collect();
            let known = help(&path).unwrap_or_else(|| panic!("{page}: there is no `coldroot {}`", path.join(" ")));
            for option in words.filter(|w| w.starts_with("--")) {
                let option = option.split('=').next().unwrap_or_default();
                let there = known.split_whitespace().any(|w| w.trim_end_matches(',') == option);
                assert!(there, "{page}: `coldroot {}` has no {option}", path.join(" "));
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} commands found");
}

/// Whether a room's file, ours or of the program, has the words; a file's tests may stand in a directory of its name.
fn stands_in(file: &str, words: &str) -> bool {
    ["softhsm-tests", "src"].iter().map(|dir| checkout().join(dir).join(file)).any(|room| {
        let files = harness::files(&room).into_iter().chain([room.with_extension("rs")]);
        files.filter_map(|path| fs::read_to_string(path).ok()).any(|text| text.contains(words))
    })
}

#[test]
fn every_named_test_exists() {
    let assurance = read("docs/assurance.md");
    let mut named = 0;
    for name in assurance.split('`').skip(1).step_by(2) {
        let Some((file, test)) = name.split_once("::").filter(|(_, test)| !test.is_empty()) else { continue };
        assert!(stands_in(file, &format!("fn {test}(")), "docs/assurance.md names {file}: {test}");
        named += 1;
    }
    assert!(named > 30, "only {named} tests named");
}

#[test]
fn every_page_and_every_script_has_its_line_in_an_index() {
    let (index, readme) = (read("docs/README.md"), read("README.md"));
    for page in pages().iter().filter_map(|page| page.strip_prefix("docs/")).filter(|page| *page != "README.md") {
        assert!(index.contains(&format!("| [{page}]({page}) |")), "docs/README.md has no line for {page}");
    }
    let scripts = fs::read_dir(checkout().join("softhsm-tests")).unwrap().map(|entry| entry.unwrap());
    let runs = |entry: &fs::DirEntry| {
        let about = entry.metadata().unwrap();
        about.is_file() && about.permissions().mode() & 0o111 != 0
    };
    let names: Vec<_> = scripts.filter(runs).map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.len() > 8, "only {names:?}");
    for name in names {
        let named = readme.contains(&format!("`{name}`")) || readme.contains(&format!("softhsm-tests/{name}"));
        assert!(named, "README.md does not name softhsm-tests/{name}");
    }
}

/// The anchor that pages give a heading: lower case, blanks as hyphens, no other signs.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn the_picture_of_the_readme_needs_nothing_from_elsewhere() {
    let picture = read("docs/road.svg").replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    let foreign = ["http", "href", "<script", "<image", "@import", "<foreignObject", "data:"];
    assert!(foreign.iter().all(|word| !picture.contains(word)), "docs/road.svg stands alone");
    assert!(picture.contains("prefers-color-scheme: dark") && picture.contains("<title"));
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for page in pages() {
        for target in read(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.starts_with("http") {
                continue;
            }
            let to = match file {
                "" => page.clone(),
                file => Path::new(&page).parent().unwrap().join(file).display().to_string(),
            };
            assert!(checkout().join(&to).exists(), "{page}: {target}");
            let headings: Vec<String> = match anchor {
                "" => continue,
                _ => read(&to).lines().filter_map(|line| line.strip_prefix('#')).map(slug).collect(),
            };
            assert!(headings.iter().any(|heading| heading == anchor), "{page}: {to} has no heading `{anchor}`");
        }
    }
}
