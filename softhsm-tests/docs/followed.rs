//! What a statement that stands alone is followed by: each command that is printed runs as it is printed.

use std::fs;

use crate::first_hour::{printed, typed};
use crate::{COLDROOT, softhsm};

/// Types `command`, then all that it prints; gives back what the last one said.
fn followed(command: &str, stands: &str) -> String {
    let next = printed(&typed(command, stands));
    assert_eq!(next.len(), 3, "two approvals, and the command again: {next:?}");
    next.iter().fold(String::new(), |_, command| typed(command, stands))
}

#[test]
fn a_void_and_an_adoption_print_what_follows_them_whole() {
    softhsm().expect("SoftHSM is not installed: softhsm-tests/run-all installs it");
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo");
    let start = printed(&typed(&format!("{COLDROOT} demo --dir {} --requests 2", demo.display()), ":"));
    let [go, request, pack] = start.iter().collect::<Vec<_>>()[..] else { panic!("{start:?}") };
    typed(request, go);
    let plan = printed(&typed(pack, go)).pop().unwrap();
    let sign = printed(&typed(&plan, go)).pop().unwrap();
    let plan = sign.split(' ').skip_while(|word| *word != "--plan").nth(1).unwrap().to_string();
    let people = "--operator carol --witness dave";
    let void = format!("coldroot void --plan {plan} --reason \"the officers' wish\" {people}");
    assert!(followed(&void, go).contains("The plan is void. Release 4 "));

    let station = demo.join("station");
    let hierarchy = fs::read_to_string(station.join("hierarchy.toml")).unwrap();
    let shorter = hierarchy.replace("days = 90", "days = 80");
    assert_ne!(hierarchy, shorter);
    fs::write(station.join("new.toml"), &shorter).unwrap();
    let adopt = format!("coldroot adopt-hierarchy new.toml --reason shorter {people}");
    assert!(followed(&adopt, go).contains("Another hierarchy is in force."));
    assert_eq!(fs::read_to_string(station.join("hierarchy.toml")).unwrap(), shorter);
}
