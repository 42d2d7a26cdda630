//! The same ceremony on every module that can be had here, for every algorithm: `softhsm-tests/run-matrix` runs `matrix`
//! below, and writes its table into `docs/tokens.md`. The small leg, SoftHSM with one algorithm and a refusal, runs with the
//! other tests.

#[path = "matrix/ceremony.rs"]
mod ceremony;
mod harness;
#[path = "matrix/modules.rs"]
mod modules;
#[path = "matrix/table.rs"]
mod table;

use ceremony::Outcome;
use coldroot::algorithm::KeyAlgorithm;
use modules::Kind;

/// The algorithms of the table's rows. Of SLH-DSA's twelve parameter sets, one each of the small and fast ones stands for those
/// that differ from it in nothing the token is asked for; RSA-2048 is no CA key, with any module.
fn rows() -> Vec<KeyAlgorithm> {
    let shown = |algorithm: &KeyAlgorithm| {
        let name = algorithm.name();
        !name.starts_with("rsa-2048") && (!name.starts_with("slh-dsa") || name.starts_with("slh-dsa-sha2-128"))
    };
    KeyAlgorithm::ALL.into_iter().filter(shown).collect()
}

#[test]
fn softhsm_carries_the_whole_ceremony_and_refuses_what_it_does_not_know() {
    let passed = ceremony::run(Kind::SoftHsm, KeyAlgorithm::EcdsaP256);
    assert_eq!(passed, Outcome::Passed);
    let refused = ceremony::run(Kind::SoftHsm, "ml-dsa-65".parse_name());
    let Outcome::Refused(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("not fit for ml-dsa-65 keys") && why.contains("does not list"), "{why}");
}

#[test]
fn the_table_in_the_documents_has_a_cell_for_each_module_and_algorithm() {
    let rows: Vec<&str> = rows().into_iter().map(KeyAlgorithm::name).collect();
    table::check_shape(&table::part(table::MATRIX), &rows);
}

#[test]
fn the_profiles_in_the_documents_are_those_of_the_program() {
    let wanted = table::profiles();
    if std::env::var_os("COLDROOT_WRITE_PROFILES").is_some() {
        table::put(table::PROFILES, &wanted);
    }
    assert_eq!(table::part(table::PROFILES), wanted);
}

/// `COLDROOT_MATRIX` names modules, all of them when it is empty; `COLDROOT_MATRIX_JSON` a file for the results;
/// `COLDROOT_MATRIX_WRITE`: the table goes into the documents.
#[test]
#[ignore = "minutes long, and starts services: softhsm-tests/run-matrix runs it"]
fn matrix() {
    let wanted = std::env::var("COLDROOT_MATRIX").unwrap_or_default();
    let kinds: Vec<Kind> = match wanted.split_whitespace().collect::<Vec<_>>() {
        none if none.is_empty() => Kind::ALL.to_vec(),
        names => names.iter().map(|name| Kind::named(name).unwrap_or_else(|| panic!("no module {name}"))).collect(),
    };
    let mut results = Vec::new();
    for kind in kinds {
        for algorithm in table::AUDIT {
            let (row, outcome) = (table::audit(algorithm), ceremony::audit(kind, algorithm));
            eprintln!("{:13} {row:31} {outcome}", kind.name());
            results.push((kind, row, outcome));
        }
        for algorithm in rows() {
            let outcome = ceremony::run(kind, algorithm);
            eprintln!("{:13} {:31} {outcome}", kind.name(), algorithm.name());
            results.push((kind, algorithm.name().to_owned(), outcome));
        }
    }
    print!("{}", table::shown(&results));
    if let Some(path) = std::env::var_os("COLDROOT_MATRIX_JSON") {
        std::fs::write(path, table::json(&results)).unwrap();
    }
    if std::env::var_os("COLDROOT_MATRIX_WRITE").is_some() {
        table::write(&results);
    }
    let failed = results.iter().filter(|(.., outcome)| matches!(outcome, Outcome::Failed(_))).count();
    assert_eq!(failed, 0, "{failed} of {} failed", results.len());
}

/// An algorithm by its name in hierarchy files.
trait Named {
    fn parse_name(self) -> KeyAlgorithm;
}

impl Named for &str {
    fn parse_name(self) -> KeyAlgorithm {
        KeyAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == self).unwrap()
    }
}
