//! `token list`, `token probe` and `token inventory`: what is said of a token, and that looking changes nothing.

mod harness;

use std::process::Command;

use harness::faulty::{self, mend, play};
use harness::station::{COLDROOT, Run, Station};

/// A command as a person types it.
fn plain(station: &Station, args: &[&str]) -> Run {
    Run::of(Command::new(COLDROOT).arg("--plain").args(args).current_dir(station.dir()))
}

#[test]
fn the_list_names_tokens_and_the_state_of_their_pins() {
    let station = Station::bare_of(faulty::hierarchy(""));
    let listed = station.run(&["token", "list"]).ok();
    let ours = |listed: &serde_json::Value| {
        let tokens = listed.as_array().unwrap();
        // SoftHSM shows a free slot beside the token.
        assert_eq!(tokens.len(), 2, "{listed}");
        tokens.iter().find(|token| token["token"] == "main").cloned().unwrap()
    };
    let main = ours(&listed);
    assert_eq!((&main["label"], &main["initialised"]), (&"road".into(), &true.into()));
    assert_eq!(main["module-path"], faulty::module().to_str().unwrap());
    let run = plain(&station, &["token", "list"]);
    assert_eq!(run.code, 0, "{run:?}");
    let row = run.out.lines().find(|line| line.starts_with("main ")).unwrap();
    assert!(row.contains("road") && row.contains(main["serial"].as_str().unwrap()) && row.ends_with("ready"), "{row}");
    assert!(run.out.contains("(blank)") && !run.out.contains("pkcs11:"), "{}", run.out);
    let uris = plain(&station, &["token", "list", "--uri"]);
    assert!(uris.out.contains(main["uri"].as_str().unwrap()), "{}", uris.out);
    for (flags, said) in [("0x10000", "was wrong lately"), ("0x20000", "ONE TRY LEFT"), ("0x40000", "LOCKED")] {
        play(&station, &format!("C_GetTokenInfo=flags:{flags}"));
        let run = plain(&station, &["token", "list"]);
        let row = run.out.lines().find(|line| line.starts_with("main ")).unwrap();
        assert!(run.code == 0 && row.ends_with(said), "{row}");
    }
    mend(&station);
}
