use super::*;

const EXAMPLE: &str = include_str!("../../../ceremony-scripts/hierarchy.example.toml");

fn minutes(mark: &str, station: &Path) -> Minutes {
    let text = EXAMPLE.replace("\nmark = \"token\"\n", &format!("\nmark = \"{mark}\"\n"));
    Minutes::of(&Hierarchy::parse(&text).unwrap(), station)
}

#[test]
fn p04_the_audit_key_says_where_its_mark_is() {
    let [token, paper] = ["token", "paper"].map(|mark| minutes(mark, Path::new(".")));
    let drawn = [7; 16];
    assert_eq!(token.name_key(drawn).as_slice(), drawn);
    let named = paper.name_key(drawn);
    assert_eq!(named.as_slice(), b"\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07paper");
    assert!(token.judge_key(&drawn).is_ok() && paper.judge_key(&named).is_ok());
    assert!(token.judge_key(&named).is_err() && paper.judge_key(&drawn).is_err() && paper.judge_key(b"").is_err());
}

/// A parent that announces a page, has the mark moved, and says goodbye.
#[test]
fn p04_a_page_that_the_mark_has_left_behind_is_not_copied() {
    let station = tempfile::tempdir().unwrap();
    std::fs::create_dir(station.path().join("audit")).unwrap();
    let mut minutes = minutes("paper", station.path());
    let mark = Mark { size: 1, root: Digest([1; 32]), ..Mark::first("example.org/a", Digest([2; 32]), "0a1b") };
    let [shown, copied] = minutes.page(&mark).unwrap().unwrap();
    assert!(shown.starts_with(paper::HEAD) && shown != copied);
    minutes.announce(shown, copied).unwrap();
    minutes.put("moved".into()).unwrap();
    // Nothing is shown: there is no terminal here that could be asked.
    minutes.close(&mark, 0).unwrap();
    assert!(minutes.is_held().unwrap());
    assert_eq!(paper::read(&minutes.audit()).unwrap().as_deref(), Some("moved"));
    assert!(!station.path().join("out").exists());
    // Nor is there a page where the mark stands on one, or in the token.
    minutes.page = Some(mark.root);
    assert_eq!(minutes.page(&mark).unwrap(), None);
    assert_eq!(super::tests::minutes("token", station.path()).page(&mark).unwrap(), None);
}

#[test]
fn p04_minutes_are_claimed_before_a_login_and_on_paper_alone() {
    let station = tempfile::tempdir().unwrap();
    std::fs::create_dir(station.path().join("audit")).unwrap();
    assert!(minutes("token", station.path()).claim(None).is_err());
    let mut minutes = minutes("paper", station.path());
    minutes.claim(Some((9, 1, Digest([9; 32])))).unwrap();
    assert!(!minutes.adopts(), "nobody is logged in");
    // What is adopted has its note; then all is as ever, and the time for claims is over.
    minutes.put("adopted".into()).unwrap();
    assert!(!minutes.adopts() && minutes.claim(None).is_err());
}
