//! The reference of the program, all of it made from clap's model of the command line: the overview in the order of work, the
//! examples folded to a terminal's width, manual pages (roff), completions for shells, and `docs/cli.md`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use serde_json::json;

use super::{Answer, Cli, Failure};
use crate::text::path;

/// The verbs by the person who needs them, in the order of work.
const GROUPS: [(&str, &[&str]); 6] = [
    ("To begin with", &["demo", "show", "check"]),
    ("At the station", &["init", "doctor", "plan", "sign", "void", "release", "record", "token"]),
    ("Officers, on machines of their own", &["approve", "sample"]),
    ("At the desk", &["pack", "unpack"]),
    ("Auditors and hostmasters", &["prove", "export", "calendar"]),
    (
        "Changes of a station's state, by a quorum",
        &["adopt-hierarchy", "adopt-crl", "adopt-certificate", "correct-clock", "hand-over", "adopt-log", "restore"],
    ),
];
/// About the program itself; clap adds `help`.
const OWN: (&str, &[&str]) = ("The program itself", &["man", "completions", "help"]);

/// Columns of the help where the terminal does not say, of the documents, and of the examples everywhere.
const WIDTH: usize = 80;

/// The command line as it is parsed and as it is told: clap's, with the overview by groups and foldable examples.
pub fn command() -> Command {
    let mut command = folded(Cli::command());
    command.build();
    let width = command.get_subcommands().map(|verb| verb.get_name().len()).max().unwrap_or_default();
    let mut overview = String::new();
    for (title, names) in GROUPS.iter().chain([&OWN]) {
        // An auditor's build has no station: groups of which nothing is left are left out.
        let verbs: Vec<&Command> = names.iter().filter_map(|name| command.find_subcommand(name)).collect();
        if !verbs.is_empty() {
            overview += &format!("\n{title}:\n");
        }
        for verb in verbs {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            overview += &format!("  {:width$}  {about}\n", verb.get_name());
        }
    }
    folded(Cli::command()).help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{overview}\nOptions:\n{{options}}{{after-help}}"
    ))
}

/// The same command with the examples of all its verbs folded.
fn folded(mut command: Command) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(fold(&text));
    }
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    verbs.iter().fold(command, |command, verb| command.mut_subcommand(verb, folded))
}

/// Folds the examples in a text, lines that begin with two blanks and the name of a program, before options, so that each line
/// fits and the whole can still be pasted into a shell. Other lines stay for clap to wrap.
fn fold(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.replace(" \\\n", " ").lines() {
        if !line.starts_with("  coldroot ") && !line.starts_with("  ssh-keygen ") {
            lines.push(line.to_string());
            continue;
        }
        let mut now = String::new();
        for (n, part) in line.trim().replace(" --", "\n--").lines().map(str::trim).enumerate() {
            let indent = if lines.last().is_some_and(|last| last.ends_with('\\')) { "    " } else { "  " };
            if n == 0 {
                now = format!("{indent}{part}");
            } else if now.len() + part.len() + 3 <= WIDTH {
                now += &format!(" {part}");
            } else {
                lines.push(format!("{now} \\"));
                now = format!("    {part}");
            }
        }
        lines.push(now);
    }
    lines.join("\n")
}

/// `man`.
#[derive(Args)]
#[command(after_help = "Examples:\n  coldroot man --to man\n  man -l man/coldroot-sign.1")]
pub struct ManArgs {
    /// The directory that the pages are written to, a file for each verb
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Writes the manual pages.
pub fn man(args: &ManArgs) -> Result<Answer, Failure> {
    let fail = |e: std::io::Error| Failure::io(&args.to, e);
    fs::create_dir_all(&args.to).map_err(fail)?;
    clap_mangen::generate_to(command(), &args.to).map_err(fail)?;
    let pages = fs::read_dir(&args.to).map_err(fail)?.count();
    let text = format!("{pages} pages lie in {0}. Next:\n\n  man -l {0}/coldroot.1\n", path(&args.to));
    Ok(Answer::new(text, json!({ "directory": args.to, "pages": pages })))
}

/// `completions`.
#[derive(Args)]
#[command(after_help = "Examples:\n  coldroot completions bash > coldroot.bash\n  \
    coldroot completions zsh > ~/.zfunc/_coldroot")]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Writes a shell's completions to standard output.
pub fn completions(args: &CompletionsArgs) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "coldroot", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::io("standard output".as_ref(), e)),
        _ => Ok(Answer::printed()),
    }
}

/// `docs/cli.md`: the help of each verb as a terminal of 80 columns shows it, what is common to all of them told once.
pub fn page() -> String {
    let mut command = command().term_width(WIDTH);
    command.build();
    let mut page = String::from("# The command line\n\nWhat `coldroot help` and `coldroot VERB --help` say.\n");
    page += &format!("\n```text\n{}\n```\n", command.render_help().to_string().trim_end());
    for name in GROUPS.iter().chain([&OWN]).flat_map(|(_, names)| *names).filter(|name| **name != "help") {
        let Some(verb) = command.find_subcommand_mut(name) else { continue };
        let inner: Vec<String> = verb.get_subcommands().map(|inner| inner.get_name().to_string()).collect();
        page += &section(verb, 2);
        for inner in inner.iter().filter(|inner| *inner != "help") {
            if let Some(inner) = verb.find_subcommand_mut(inner) {
                page += &section(inner, 3);
            }
        }
    }
    page
}

/// The section of one verb, without the options that all verbs have.
fn section(verb: &mut Command, level: usize) -> String {
    let name = verb.get_bin_name().unwrap_or_default().to_string();
    let help = verb.clone().term_width(WIDTH).render_help().to_string();
    let common = format!("{}:", super::COMMON);
    let kept: Vec<&str> = help.trim_end().split("\n\n").filter(|part| !part.starts_with(&common)).collect();
    format!("\n{} {name}\n\n```text\n{}\n```\n", "#".repeat(level), kept.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "station")]
    fn each_verb_stands_in_one_group_of_the_overview() {
        let mut command = Cli::command();
        command.build();
        let mut told: Vec<&str> = GROUPS.iter().chain([&OWN]).flat_map(|(_, names)| *names).copied().collect();
        let mut known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        told.sort_unstable();
        known.sort_unstable();
        assert_eq!(told, known);
    }

    /// Each verb and each verb below it.
    fn leaves(command: &Command, into: &mut Vec<Command>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            if verb.has_subcommands() { leaves(verb, into) } else { into.push(verb.clone()) }
        }
    }

    #[test]
    fn each_verb_has_examples_that_fit_a_terminal() {
        let mut verbs = Vec::new();
        leaves(&command(), &mut verbs);
        assert!(verbs.len() > 10);
        for verb in verbs {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Example"), "`{}` has no example", verb.get_name());
            for line in text.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() <= WIDTH, "`{}`: {line}", verb.get_name());
            }
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.chars().count() <= 61, "`{}`: too long for a line of the overview: {about}", verb.get_name());
        }
    }

    #[test]
    fn examples_are_folded_before_options() {
        let long = format!("Text.\n  coldroot a --one {}   --two x \\\n  --three", "1".repeat(55));
        assert_eq!(fold(&long), format!("Text.\n  coldroot a --one {} \\\n    --two x --three", "1".repeat(55)));
        assert_eq!(fold("  coldroot b --c"), "  coldroot b --c");
    }
}
